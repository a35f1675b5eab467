"""Measure: models that were not tuned here, on any benchmarks."""

from cultureclip.pipelines.measure.pipeline import create_pipeline

__all__ = ["create_pipeline"]
