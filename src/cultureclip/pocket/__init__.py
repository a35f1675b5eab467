"""The embedded default models: their training and their weights."""
