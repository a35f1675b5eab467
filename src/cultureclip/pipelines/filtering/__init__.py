"""Filtering: the judge scores every image; twins pass as a whole or not at all."""

from cultureclip.pipelines.filtering.pipeline import create_pipeline

__all__ = ["create_pipeline"]
