"""Protocols that ask what names, cues and neighbours do to an answer."""
