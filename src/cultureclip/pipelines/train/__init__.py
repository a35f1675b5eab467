"""Training: CLIP is tuned on twins, once for every objective and seed."""

from cultureclip.pipelines.train.pipeline import create_pipeline

__all__ = ["create_pipeline"]
