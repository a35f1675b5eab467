"""Gate: a run that fails where a checkpoint is worse than its base."""

from cultureclip.pipelines.gate.pipeline import create_pipeline

__all__ = ["create_pipeline"]
