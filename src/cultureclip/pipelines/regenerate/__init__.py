"""Regenerate: one stored image is made again and compared."""

from cultureclip.pipelines.regenerate.pipeline import create_pipeline

__all__ = ["create_pipeline"]
