"""Evaluation: benchmarks, predictions, scores and the report."""

from cultureclip.pipelines.evaluation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
