"""Reporting: the report, the table of scores and the exported results, from the other stages' outputs."""

from cultureclip.pipelines.reporting.pipeline import create_pipeline

__all__ = ["create_pipeline"]
