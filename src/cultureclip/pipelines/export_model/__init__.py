"""Export of a model: one training with its scores as a folder that others open without this project."""

from cultureclip.pipelines.export_model.pipeline import create_pipeline

__all__ = ["create_pipeline"]
