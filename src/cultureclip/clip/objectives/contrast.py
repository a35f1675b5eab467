"""Parts of the objectives: embedded twins, cross-entropy that knows repeated meanings, the twin margin."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from cultureclip.errors import ConfigurationError


@dataclass(frozen=True)
class TwinEmbeddings:
    """A batch of B twins, embedded. The first axis is the side: 0 positive, 1 negative.

    Attributes:
        images: L2-normalised [2, B, D].
        captions: L2-normalised [2, B, D].
        concepts: L2-normalised [2, B, D].
        caption_ids: int64 [2, B]; equal numbers, equal texts.
        concept_ids: int64 [2, B]; likewise.
        scale: exp(logit_scale), fp32 scalar.
        norms: Lengths [3, 2, B] of images, captions and concepts before they were normalised, with their gradient; None
            where nobody wants the embeddings as the towers gave them.
        negatives: Hard negatives of the images, L2-normalised [2, B, D]; None where no image has one.
        has_negative: Which images have one, bool [2, B]; what stands at the others in ``negatives`` has no meaning.
    """

    images: Tensor
    captions: Tensor
    concepts: Tensor
    caption_ids: Tensor
    concept_ids: Tensor
    scale: Tensor
    norms: Tensor | None = None
    negatives: Tensor | None = None
    has_negative: Tensor | None = None

    def texts(self, field: str) -> tuple[Tensor, Tensor]:
        """Return embeddings [2, B, D] of a field and its labels [2, B, L]: texts that share any label mean the same."""
        if field == "concept":
            return self.concepts, self.concept_ids.unsqueeze(-1)
        return self.captions, torch.stack([self.caption_ids, self.concept_ids], dim=-1)

    def unnormalised(self) -> "TwinEmbeddings":
        """Return the same batch with images and texts at the length that the towers gave them.

        Raises:
            ConfigurationError: if the lengths of the embeddings were not kept.
        """
        if self.norms is None:
            raise ConfigurationError(
                "embeddings of a batch",
                "their lengths before normalisation were not kept",
                "Leave 1 out of as_released, or fill TwinEmbeddings.norms",
            )
        images, captions, concepts = self.norms.unsqueeze(-1)
        return replace(
            self, images=images * self.images, captions=captions * self.captions, concepts=concepts * self.concepts
        )


def cross_entropy(
    logits: Tensor,
    row_labels: Tensor | None = None,
    column_labels: Tensor | None = None,
    *,
    multi_positive: bool = False,
) -> Tensor:
    """Return the mean over rows i of -log softmax(logits_i)[i], fp32 or finer, without columns j != i with i's labels.

    With ``multi_positive`` these columns stay and are right as well: -1/|P_i| sum over j in P_i of
    log softmax(logits_i)[j], P_i the columns that share a label with row i, i among them. This is the outer form of
    Khosla et al. 2020 (arXiv 2004.11362), between images and texts as in Yang et al. 2022 (arXiv 2204.03610). Its
    least value is the mean of log |P_i|, not 0.

    Args:
        logits: [B, N], N >= B.
        row_labels: int64 [B, L]; None: nothing is known to mean the same.
        column_labels: int64 [N, L].
        multi_positive: Whether a column that shares a label is right instead of left out.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    target = torch.arange(len(logits), device=logits.device)
    if row_labels is not None and column_labels is not None:
        same = (row_labels[:, None] == column_labels[None]).any(-1)
        if multi_positive:
            return F.cross_entropy(logits, same / same.sum(-1, keepdim=True).to(logits.dtype))
        same[target, target] = False
        logits = logits.masked_fill(same, float("-inf"))
    return F.cross_entropy(logits, target)


def twin_margin(images: Tensor, texts: Tensor, margin: float, labels: Tensor | None = None) -> Tensor:
    """Return the mean over all 2B images of max(0, m - cos(I, x) + cos(I, x')), x the own text and x' the twin's.

    The hinge of Faghri et al. 2018 (arXiv 1707.05612) with the twin as the one negative. The mean also counts, as 0,
    images whose own text shares a label with the twin's: there is nothing to lead over.

    Args:
        images: [2, B, D], of any length.
        texts: [2, B, D], of any length.
        margin: The lead m that is enough, in cosine.
        labels: int64 [2, B, L], of the texts; None: nothing is known to mean the same.
    """
    own, other = (F.cosine_similarity(images, t, dim=-1) for t in (texts, texts.flip(0)))
    short = (margin - own + other).clamp_min(0)
    if labels is not None:
        short = short.masked_fill((labels == labels.flip(0)).any(-1), 0.0)
    return short.mean()


def two_way(images: Tensor, own: Tensor, negatives: Tensor, known: Tensor, scale: Tensor) -> Tensor:
    """Return the mean over known images of -log softmax(s [I.x, I.h])[0], x the own text and h the hard negative.

    Without a known image it is 0.

    Args:
        images: L2-normalised [2, B, D].
        own: L2-normalised [2, B, D].
        negatives: L2-normalised [2, B, D].
        known: bool [2, B], the images that have a hard negative.
        scale: s.
    """
    lead = (images * (own - negatives)).sum(-1)[known]
    return F.softplus(-scale * lead).sum() / max(1, lead.numel())
