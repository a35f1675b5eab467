"""Preview of captioning: the first concepts' questions, answers and verdicts, and the estimated cost of all."""

from cultureclip.pipelines.preview_captioning.pipeline import create_pipeline

__all__ = ["create_pipeline"]
