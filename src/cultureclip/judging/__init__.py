"""Scores by a judge that is not the trainee, verdicts with reasons, and the selection of training rows."""
