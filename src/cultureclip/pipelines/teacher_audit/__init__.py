"""Teacher audit: whose culture a chat model answers by, before it writes training data."""

from cultureclip.pipelines.teacher_audit.pipeline import create_pipeline

__all__ = ["create_pipeline"]
