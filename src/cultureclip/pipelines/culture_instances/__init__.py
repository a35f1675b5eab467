"""Culture-related instances: questions about look-alikes that a culture changes, and hard negatives from them."""

from cultureclip.pipelines.culture_instances.pipeline import create_pipeline

__all__ = ["create_pipeline"]
