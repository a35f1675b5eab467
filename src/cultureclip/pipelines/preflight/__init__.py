"""Preflight: whether a run can end well, how long it takes and what it costs."""

from cultureclip.pipelines.preflight.pipeline import create_pipeline

__all__ = ["create_pipeline"]
