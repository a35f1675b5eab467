"""Distillation of similarities (Hinton et al. 2015, arXiv 1503.02531), which holds the tuned model near its base."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from cultureclip.clip.lora.low_rank import LowRank

REPLAY_SCALE = 10.0
"""Inverse temperature on general pairs. At the base's own scale its answers there are nearly one-hot: softened, they
also say which wrong answers are near ones, and that is what carries over to pictures never seen."""


def divergence(base: Tensor, tuned: Tensor) -> Tensor:
    """Return KL(softmax(base) || softmax(tuned)) of logits [N, M], mean over rows, in nats and fp32."""
    p, q = base.float().log_softmax(-1), tuned.float().log_softmax(-1)
    return F.kl_div(q, p, reduction="batchmean", log_target=True)


def anchor_loss(images: Tensor, texts: Tensor, base_images: Tensor, base_texts: Tensor, base_scale: Tensor) -> Tensor:
    """Return 1/2 [ KL(p_it || q_it) + KL(p_ti || q_ti) ]: keeps the tuned similarities q of a batch near the base's p.

    p = softmax(s0 I0 T0^T) and q = softmax(s0 I T^T), over texts (it) and over images (ti), s0 the base's scale.

    Args:
        images: Tuned, L2-normalised [N, D].
        texts: Tuned, L2-normalised [M, D].
        base_images: The base model's embeddings of the same pixels, [N, D].
        base_texts: [M, D].
        base_scale: s0.
    """
    tuned, base = base_scale * images @ texts.T, base_scale * base_images @ base_texts.T
    return (divergence(base, tuned) + divergence(base.T, tuned.T)) / 2


def replay_loss(images: Tensor, texts: Tensor, rows: Tensor, base_images: Tensor, base_texts: Tensor) -> Tensor:
    """Return 1/2 [ KL(p_it || q_it) + KL(p_ti || q_ti) ] of B general pairs against all P, as the base embeds them.

    p = softmax(t I0 T0^T) and q = softmax(t I T0^T) for the images, likewise for the texts, t = :data:`REPLAY_SCALE`.
    The candidates are the base's: each tower is held in the base's own space, and the more of them, the finer.

    Args:
        images: Tuned, L2-normalised [B, D].
        texts: Tuned, L2-normalised [B, D].
        rows: Places of the B pairs among the P, int64 [B].
        base_images: The base's, L2-normalised [P, D].
        base_texts: The base's, L2-normalised [P, D].
    """
    to_texts = divergence(REPLAY_SCALE * base_images[rows] @ base_texts.T, REPLAY_SCALE * images @ base_texts.T)
    to_images = divergence(REPLAY_SCALE * base_texts[rows] @ base_images.T, REPLAY_SCALE * texts @ base_images.T)
    return (to_texts + to_images) / 2


def squared_update(updates: Iterable[LowRank]) -> Tensor:
    """Return the sum of ||scale B A||^2 (Frobenius) over all low-rank updates: the squared distance to the base.

    L2-SP of Li et al. 2018 (arXiv 1802.01483). B A is never formed: ||B A||^2 = sum of (B^T B) * (A A^T).
    """
    squares = [u.scale**2 * ((u.b.T @ u.b) * (u.a @ u.a.T)).sum() for u in updates]
    return torch.stack(squares).sum()
