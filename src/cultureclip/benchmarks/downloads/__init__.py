"""Benchmarks' files: where their owners offer them, and fetching them."""
