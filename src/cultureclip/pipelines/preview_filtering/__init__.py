"""Preview of filtering: the first images with every judge's opinion, and the estimated cost of all."""

from cultureclip.pipelines.preview_filtering.pipeline import create_pipeline

__all__ = ["create_pipeline"]
