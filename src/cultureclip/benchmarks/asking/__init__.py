"""Benchmarks asked of chat models: questions, how they are worded, and how answers are read."""
