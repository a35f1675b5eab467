"""Protocols: what a benchmark asks, how an answer is scored, and how it is built from rows."""
