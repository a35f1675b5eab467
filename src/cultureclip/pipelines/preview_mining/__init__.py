"""Preview of mining: the first questions for concepts, what was read from answers, and the estimated cost of all."""

from cultureclip.pipelines.preview_mining.pipeline import create_pipeline

__all__ = ["create_pipeline"]
