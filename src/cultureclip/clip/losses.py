"""Contrastive objectives over twins.

Notation: s = exp(logit_scale); I+, I- are the images of the two halves of a twin, T+, T- their captions, C+, C- their
concepts, all L2-normalised [B, D]; CE(logits) is the mean cross-entropy whose right answers lie on the diagonal.
Every objective returns a scalar in nats.

A text that means the same as a row's own text (same text, or a caption of the same concept) is masked out of the row's
negatives when ``duplicate_aware`` is set: concepts repeat in a batch, and an image is no negative for its own concept.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cultureclip.clip.settings import ObjectiveSettings
from cultureclip.errors import ConfigurationError


@dataclass(frozen=True)
class TwinEmbeddings:
    """A batch of B twins, embedded. The first axis is the half: 0 positive, 1 negative.

    Attributes:
        images: L2-normalised [2, B, D].
        captions: L2-normalised [2, B, D].
        concepts: L2-normalised [2, B, D].
        caption_ids: int64 [2, B]; equal numbers, equal texts.
        concept_ids: int64 [2, B]; likewise.
        scale: exp(logit_scale), fp32 scalar.
    """

    images: Tensor
    captions: Tensor
    concepts: Tensor
    caption_ids: Tensor
    concept_ids: Tensor
    scale: Tensor

    def texts(self, field: str) -> tuple[Tensor, Tensor]:
        """Embeddings [2, B, D] of a field and its labels [2, B, L]: texts that share any label mean the same."""
        if field == "concept":
            return self.concepts, self.concept_ids.unsqueeze(-1)
        return self.captions, torch.stack([self.caption_ids, self.concept_ids], dim=-1)


def cross_entropy(logits: Tensor, row_labels: Tensor | None = None, column_labels: Tensor | None = None) -> Tensor:
    """Mean over rows i of -log softmax(logits_i)[i], in fp32, without columns j != i that share a label with row i.

    Args:
        logits: [B, N], N >= B.
        row_labels: int64 [B, L]; None masks nothing.
        column_labels: int64 [N, L].
    """
    logits = logits.float()
    target = torch.arange(len(logits), device=logits.device)
    if row_labels is not None and column_labels is not None:
        same = (row_labels[:, None] == column_labels[None]).any(-1)
        same[target, target] = False
        logits = logits.masked_fill(same, float("-inf"))
    return F.cross_entropy(logits, target)


class Objective(nn.Module):
    """Base of all objectives.

    Args:
        settings: Weights and the handling of duplicates.
    """

    def __init__(self, settings: ObjectiveSettings | None = None) -> None:
        super().__init__()
        self.settings = settings or ObjectiveSettings()

    def forward(self, twins: TwinEmbeddings) -> Tensor:
        """The loss of a batch."""
        raise NotImplementedError

    def contrast(
        self, images: Tensor, texts: Tensor, labels: Tensor, scale: Tensor, extra: tuple[Tensor, ...] = ()
    ) -> Tensor:
        """1/2 [ CE(s I [T | T']^T) + CE(s T I^T) ]; ``extra`` is (T', its labels) or empty.

        Args:
            images: [N, D].
            texts: [N, D], row i belongs to image i.
            labels: [N, L], of the texts.
            scale: s.
            extra: Further texts [M, D] that are negatives for the images, with labels [M, L].
        """
        columns, column_labels = texts, labels
        if extra:
            columns, column_labels = torch.cat([texts, extra[0]]), torch.cat([labels, extra[1]])
        rows = labels if self.settings.duplicate_aware else None
        to_texts = cross_entropy(scale * images @ columns.T, rows, column_labels)
        to_images = cross_entropy(scale * texts @ images.T, rows, labels)
        return (to_texts + to_images) / 2

    def neg(self, twins: TwinEmbeddings, field: str, half: int) -> Tensor:
        """Images of one half against their own and the twins' texts.

        1/2 [ CE(s I [T | T']^T) + CE(s T I^T) ]

        Args:
            twins: The batch.
            field: ``caption`` or ``concept``.
            half: Of I and T; T' is of the other.
        """
        texts, labels = twins.texts(field)
        extra = (texts[1 - half], labels[1 - half])
        return self.contrast(twins.images[half], texts[half], labels[half], twins.scale, extra)

    def pair(self, twins: TwinEmbeddings, field: str) -> Tensor:
        """Both halves in turn: neg(I+, x+, x-) + neg(I-, x-, x+)."""
        return self.neg(twins, field, 0) + self.neg(twins, field, 1)


class Clip(Objective):
    """Symmetric InfoNCE on captions, positive halves only: 1/2 [ CE(s I+ T+^T) + CE(s T+ I+^T) ].

    Radford et al. 2021 (arXiv 2103.00020).
    """

    def forward(self, twins: TwinEmbeddings) -> Tensor:
        """The loss of a batch."""
        texts, labels = twins.texts("caption")
        return self.contrast(twins.images[0], texts[0], labels[0], twins.scale)


class ClipBoth(Objective):
    """Symmetric InfoNCE on captions over both halves at once: I = [I+ ; I-], T = [T+ ; T-], 2B x 2B.

    The plain baseline on the same images and steps as the twin objectives: a twin is one negative among many.
    """

    def forward(self, twins: TwinEmbeddings) -> Tensor:
        """The loss of a batch."""
        texts, labels = twins.texts("caption")
        return self.contrast(twins.images.flatten(0, 1), texts.flatten(0, 1), labels.flatten(0, 1), twins.scale)


class NegClip(Objective):
    """neg(I+, T+, T-) on captions: the twin's captions are further negatives for the images.

    Shape of Yuksekgonul et al. 2023 (arXiv 2210.01936).
    """

    def forward(self, twins: TwinEmbeddings) -> Tensor:
        """The loss of a batch."""
        return self.neg(twins, "caption", 0)


class TripletClip(Objective):
    """pair(T) = neg(I+, T+, T-) + neg(I-, T-, T+) on captions.

    Shape of Patel et al. 2024 (arXiv 2411.02545).
    """

    def forward(self, twins: TwinEmbeddings) -> Tensor:
        """The loss of a batch."""
        return self.pair(twins, "caption")


class CultureClip(Objective):
    """lambda_caption * pair(T) + lambda_concept * pair(C).

    The CultureCLIP paper (arXiv 2507.06210); released weights 0.7 and 0.3.
    """

    def forward(self, twins: TwinEmbeddings) -> Tensor:
        """The loss of a batch."""
        caption, concept = self.settings.lambda_caption, self.settings.lambda_concept
        return caption * self.pair(twins, "caption") + concept * self.pair(twins, "concept")


OBJECTIVES: dict[str, type[Objective]] = {
    "clip": Clip,
    "clip_both": ClipBoth,
    "negclip": NegClip,
    "tripletclip": TripletClip,
    "cultureclip": CultureClip,
}
"""Objectives by the name that the config gives them."""


def build_objective(name: str, settings: ObjectiveSettings | None = None) -> Objective:
    """Make an objective.

    Raises:
        ConfigurationError: there is no objective of that name.
    """
    if name not in OBJECTIVES:
        raise ConfigurationError(f"objective {name!r}", "unknown", f"Choose one of: {', '.join(OBJECTIVES)}")
    return OBJECTIVES[name](settings)


def anchor_loss(images: Tensor, texts: Tensor, base_images: Tensor, base_texts: Tensor, base_scale: Tensor) -> Tensor:
    """1/2 [ KL(p_it || q_it) + KL(p_ti || q_ti) ]: keeps the tuned similarities q near the base's p, in nats.

    p = softmax(s0 I0 T0^T) and q = softmax(s0 I T^T), over texts (it) and over images (ti), s0 the base's scale;
    distillation of Hinton et al. 2015 (arXiv 1503.02531) on a batch's similarities.

    Args:
        images: Tuned, L2-normalised [N, D].
        texts: Tuned, L2-normalised [M, D].
        base_images: Of the base model, the same pixels, [N, D].
        base_texts: [M, D].
        base_scale: s0.
    """
    tuned = (base_scale * images @ texts.T).float()
    base = (base_scale * base_images @ base_texts.T).float()

    def divergence(p: Tensor, q: Tensor) -> Tensor:
        return F.kl_div(q.log_softmax(-1), p.log_softmax(-1), reduction="batchmean", log_target=True)

    return (divergence(base, tuned) + divergence(base.T, tuned.T)) / 2
