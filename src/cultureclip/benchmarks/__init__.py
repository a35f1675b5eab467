"""Protocols, metrics, statistics and the report."""
