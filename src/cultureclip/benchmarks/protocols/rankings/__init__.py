"""Protocols that rank a collection."""
