"""Benchmarks asked of chat models."""

from cultureclip.pipelines.ask_benchmarks.pipeline import create_pipeline

__all__ = ["create_pipeline"]
