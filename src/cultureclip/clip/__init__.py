"""Tuning CLIP on twins: objectives, low-rank adapters, batches, the trainer, checkpoints."""
