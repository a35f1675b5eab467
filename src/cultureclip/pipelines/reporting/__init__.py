"""Reporting: the report, the table of scores and the exported results, from what the other stages left."""

from cultureclip.pipelines.reporting.pipeline import create_pipeline

__all__ = ["create_pipeline"]
