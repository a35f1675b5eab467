"""The embedded default: what trains it and its weights."""
