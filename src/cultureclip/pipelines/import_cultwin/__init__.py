"""Import: rows of twins that others made, as the tables that training and evaluation read."""

from cultureclip.pipelines.import_cultwin.pipeline import create_pipeline

__all__ = ["create_pipeline"]
