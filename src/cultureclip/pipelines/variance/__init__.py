"""Variance: what of a score is the chance of the data, of the seed and of the questions."""

from cultureclip.pipelines.variance.pipeline import create_pipeline

__all__ = ["create_pipeline"]
