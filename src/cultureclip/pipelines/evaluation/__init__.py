"""Evaluation: benchmarks, predictions and scores."""

from cultureclip.pipelines.evaluation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
