"""Captions of twins: the question, the strict reading of its answer, the checks and the writing."""
