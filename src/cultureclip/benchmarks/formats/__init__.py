"""Formats: how published benchmarks lie on disk."""
