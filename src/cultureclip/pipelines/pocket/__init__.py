"""Train the embedded models: ``kedro run --pipelines=pocket`` (hours on a CPU; resumable)."""

from cultureclip.pipelines.pocket.pipeline import create_pipeline

__all__ = ["create_pipeline"]
