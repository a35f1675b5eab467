"""Preview of synthesis: the first images with their prompts, and the estimated cost of all."""

from cultureclip.pipelines.preview_synthesis.pipeline import create_pipeline

__all__ = ["create_pipeline"]
