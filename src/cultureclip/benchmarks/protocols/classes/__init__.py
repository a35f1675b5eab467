"""Protocols that name classes."""
