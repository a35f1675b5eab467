"""Contrastive objectives and the distillation that holds a model to its base."""
