"""Published benchmarks as their owners lay them on disk: one format a file, all giving the same rows."""
