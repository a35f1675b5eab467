"""Preview of synthesis: the first images with their prompts, and what all of them would cost."""

from cultureclip.pipelines.preview_synthesis.pipeline import create_pipeline

__all__ = ["create_pipeline"]
