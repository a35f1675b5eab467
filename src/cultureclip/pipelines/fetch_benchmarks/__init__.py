"""Fetch published benchmarks; this pipeline runs by itself and needs a network."""

from cultureclip.pipelines.fetch_benchmarks.pipeline import create_pipeline

__all__ = ["create_pipeline"]
