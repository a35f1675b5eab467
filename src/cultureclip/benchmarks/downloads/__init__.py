"""Origins of the benchmarks' files, and their download."""
