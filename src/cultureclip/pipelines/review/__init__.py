"""Review: how far people agree about twins, with each other and with the search."""

from cultureclip.pipelines.review.pipeline import create_pipeline

__all__ = ["create_pipeline"]
