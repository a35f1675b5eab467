"""The base of the contrastive objectives on twins, and their terms.

Notation: s = exp(logit_scale); I+, I- are the images of the two sides of a twin, T+, T- their captions, C+, C- their
concepts, all L2-normalised [B, D]; x stands for T or C, and without a sign for [x+ | x-]; CE(logits) is the mean
cross-entropy whose right answers lie on the diagonal. Every objective returns a scalar in nats.

    clip(x) = 1/2 [ CE(s I+ x+^T) + CE(s x+ I+^T) ]
    neg(I, x, x') = 1/2 [ CE(s I [x | x']^T) + CE(s x I^T) ]
    pair(x) = neg(I+, x+, x-) + neg(I-, x-, x+)

A text that means the same as a row's own text (same text, or a caption of the same concept) is masked out of the row's
negatives when ``duplicate_aware`` is set: concepts repeat in a batch, and no image is a negative for its own concept.
With ``multi_positive`` it is one more right answer.
"""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from cultureclip.clip.objectives.contrast import TwinEmbeddings, cross_entropy, twin_margin, two_way
from cultureclip.clip.settings import ObjectiveSettings

_UNNORMALISED = 1
"""Number of a defect of the release in ``as_released``; 5 is the one that ``knows_duplicates`` tells."""

Term = Callable[["Objective", TwinEmbeddings, str], Tensor]
"""A loss of a batch on one field, ``caption`` or ``concept``."""


class Objective(nn.Module):
    """Base of all objectives: one term, or lambda_caption * (its captions' term) + lambda_concept * (its concepts').

    To each term twin_margin_weight * margin(x) is added, see :func:`twin_margin`, and to their sum
    hard_negative_weight * :func:`two_way` on the objective's first kind of text: extensions of this project, off by
    default.

    Attributes:
        caption_term: The term on captions; None if there is none.
        concept_term: The term on concepts; None if there is none.

    Args:
        settings: Weights, the handling of duplicates, extensions, and the release's defects to reproduce.
    """

    caption_term: ClassVar[Term | None] = None
    concept_term: ClassVar[Term | None] = None

    def __init__(self, settings: ObjectiveSettings | None = None) -> None:
        super().__init__()
        self.settings = settings or ObjectiveSettings()

    def forward(self, twins: TwinEmbeddings) -> Tensor:
        """Return the loss of a batch."""
        if _UNNORMALISED in self.settings.as_released:
            twins = twins.unnormalised()
        terms = {"caption": self.caption_term, "concept": self.concept_term}
        extra = self.hard_negatives(twins)
        losses = {field: term(twins, field) + self.margin(twins, field) for field, term in terms.items() if term}
        if len(losses) == 1:
            return next(iter(losses.values())) + extra
        settings = self.settings
        return settings.lambda_caption * losses["caption"] + settings.lambda_concept * losses["concept"] + extra

    @property
    def reads_negative_pictures(self) -> bool:
        """Whether the loss learns from the pictures of the negative sides; rows of one picture have none."""
        terms = {term for term in (type(self).caption_term, type(self).concept_term) if term}
        return bool(self.settings.twin_margin_weight) or not terms <= {Objective.clip, Objective.neg}

    def margin(self, twins: TwinEmbeddings, field: str) -> Tensor:
        """Compute the weighted twin margin that is added to a field's term."""
        settings = self.settings
        if not settings.twin_margin_weight:
            return twins.scale.new_zeros(())
        texts, labels = twins.texts(field)
        known = labels if settings.knows_duplicates else None
        return settings.twin_margin_weight * twin_margin(twins.images, texts, settings.twin_margin, known)

    def hard_negatives(self, twins: TwinEmbeddings) -> Tensor:
        """Compute the weighted term of the hard negatives; 0 where no image of the batch has one."""
        weight, known = self.settings.hard_negative_weight, twins.has_negative
        if not weight or twins.negatives is None or known is None:
            return twins.scale.new_zeros(())
        own, _ = twins.texts("caption" if self.caption_term else "concept")
        return weight * two_way(twins.images, own, twins.negatives, known, twins.scale)

    def one_way(
        self, rows: Tensor, columns: Tensor, row_labels: Tensor, column_labels: Tensor, scale: Tensor
    ) -> Tensor:
        """Return CE(s R K^T), texts of the same meaning handled as the settings say.

        Args:
            rows: [N, D]; the right answer of row i is column i.
            columns: [M, D], M >= N.
            row_labels: [N, L], of the rows or of the texts that belong to them.
            column_labels: [M, L], likewise.
            scale: s.
        """
        known = row_labels if self.settings.knows_duplicates else None
        logits = scale * rows @ columns.T
        return cross_entropy(logits, known, column_labels, multi_positive=self.settings.multi_positive)

    def contrast(
        self, images: Tensor, texts: Tensor, labels: Tensor, scale: Tensor, extra: tuple[Tensor, ...] = ()
    ) -> Tensor:
        """Return 1/2 [ CE(s I [T | T']^T) + CE(s T I^T) ]; ``extra`` is (T', its labels) or empty.

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
        to_texts = self.one_way(images, columns, labels, column_labels, scale)
        to_images = self.one_way(texts, images, labels, labels, scale)
        return (to_texts + to_images) / 2

    def clip(self, twins: TwinEmbeddings, field: str) -> Tensor:
        """Return the positive sides only: 1/2 [ CE(s I+ x+^T) + CE(s x+ I+^T) ]."""
        texts, labels = twins.texts(field)
        return self.contrast(twins.images[0], texts[0], labels[0], twins.scale)

    def clip_both(self, twins: TwinEmbeddings, field: str) -> Tensor:
        """Return both sides at once: 1/2 [ CE(s I x^T) + CE(s x I^T) ], I = [I+ ; I-], x = [x+ ; x-], 2B x 2B."""
        texts, labels = twins.texts(field)
        return self.contrast(twins.images.flatten(0, 1), texts.flatten(0, 1), labels.flatten(0, 1), twins.scale)

    def neg(self, twins: TwinEmbeddings, field: str, side: int = 0) -> Tensor:
        """Return images of one side against their own and the twins' texts.

        1/2 [ CE(s I [T | T']^T) + CE(s T I^T) ]

        Args:
            twins: The batch.
            field: ``caption`` or ``concept``.
            side: Side of I and T; T' is of the other side.
        """
        texts, labels = twins.texts(field)
        extra = (texts[1 - side], labels[1 - side])
        return self.contrast(twins.images[side], texts[side], labels[side], twins.scale, extra)

    def pair(self, twins: TwinEmbeddings, field: str) -> Tensor:
        """Return both sides in turn: neg(I+, x+, x-) + neg(I-, x-, x+)."""
        return self.neg(twins, field, 0) + self.neg(twins, field, 1)

    def three_way(self, twins: TwinEmbeddings, field: str) -> Tensor:
        """Return 1/3 [ CE(s I+ [x+ | x-]^T) + CE(s x+ [I+ | I-]^T) + CE(s I- [x- | x+]^T) ]."""
        texts, labels = twins.texts(field)
        images, scale = twins.images, twins.scale
        both, both_labels = texts.flatten(0, 1), labels.flatten(0, 1)
        swapped, swapped_labels = texts.flip(0).flatten(0, 1), labels.flip(0).flatten(0, 1)
        positives = self.one_way(images[0], both, labels[0], both_labels, scale)
        to_images = self.one_way(texts[0], images.flatten(0, 1), labels[0], both_labels, scale)
        negatives = self.one_way(images[1], swapped, labels[1], swapped_labels, scale)
        return (positives + to_images + negatives) / 3
