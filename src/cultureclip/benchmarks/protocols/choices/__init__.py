"""Protocols that choose among texts or pictures."""
