"""Export: the training rows as a dataset folder that others open without this project."""

from cultureclip.pipelines.export.pipeline import create_pipeline

__all__ = ["create_pipeline"]
