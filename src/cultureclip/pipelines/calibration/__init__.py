"""Calibration: judges compared with people, and an audit of what they keep."""

from cultureclip.pipelines.calibration.pipeline import create_pipeline

__all__ = ["create_pipeline"]
