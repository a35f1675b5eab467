"""Synthesis: accepted captions become images."""

from cultureclip.pipelines.synthesis.pipeline import create_pipeline

__all__ = ["create_pipeline"]
