"""Status: how far the jobs of this project are."""

from cultureclip.pipelines.status.pipeline import create_pipeline

__all__ = ["create_pipeline"]
