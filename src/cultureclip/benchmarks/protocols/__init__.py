"""Protocols: the questions of a benchmark, the scoring of an answer, and how rows become a benchmark."""
