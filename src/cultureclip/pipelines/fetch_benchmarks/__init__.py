"""Fetching published benchmarks: run by itself, where there is a network."""

from cultureclip.pipelines.fetch_benchmarks.pipeline import create_pipeline

__all__ = ["create_pipeline"]
