"""Attribution: which known thing an image shows, and how strongly it belongs to each culture."""

from cultureclip.pipelines.attribution.pipeline import create_pipeline

__all__ = ["create_pipeline"]
