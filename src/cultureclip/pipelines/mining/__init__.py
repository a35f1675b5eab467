"""Mining: concepts from the atlas, a bottom-up pass over titles, and twins by look and culture."""

from cultureclip.pipelines.mining.pipeline import create_pipeline

__all__ = ["create_pipeline"]
