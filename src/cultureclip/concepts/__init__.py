"""Concepts: sources, regions, the search for twins."""
