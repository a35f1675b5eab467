"""Embeddings of a benchmark's pictures and texts, and their cache."""
