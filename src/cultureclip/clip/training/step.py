"""One update's loss and gradient: the embedding, the twins of embeddings, and the sum of the losses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cultureclip.clip.data.batches import TwinBatch
from cultureclip.clip.data.frozen_blocks import FrozenBlockCache
from cultureclip.clip.data.replay import Replay
from cultureclip.clip.data.towers import crop_tokens, embed_image
from cultureclip.clip.lora.adapter import LoraAdapter
from cultureclip.clip.objectives.contrast import TwinEmbeddings
from cultureclip.clip.objectives.distillation import anchor_loss, replay_loss, squared_update
from cultureclip.clip.objectives.losses import Objective
from cultureclip.clip.settings import RunSettings
from cultureclip.clip.towers.embedding import embed_image_pooled, embed_text_pooled
from cultureclip.clip.training.distributed import Group
from cultureclip.clip.training.grad_cache import Encoding, backward_in_chunks, embed
from cultureclip.errors import TrainingError
from cultureclip.models.encoder import ImageTextEncoder
from cultureclip.models.precision import fast_dtype
from cultureclip.models.text_tower import embed_text

TEXTS_A_TWIN, IMAGES_A_TWIN = 4, 2


def twin_accuracy(twins: TwinEmbeddings, field: str, shown: Tensor) -> float:
    """Return the share of images that are closer to their own text than to their twin's; a tie counts half.

    Args:
        twins: The batch.
        field: ``caption`` or ``concept``.
        shown: bool [2, B], the sides that have a picture of their own; the others do not count.
    """
    texts, _ = twins.texts(field)
    own = (twins.images * texts).sum(-1)
    other = (twins.images * texts.flip(0)).sum(-1)
    credit = (own > other).float() + 0.5 * (own == other).float()
    return float(credit[shown.to(credit.device)].mean())


@dataclass
class TwinLoss:
    """Loss of a batch of twins and its gradient.

    Attributes:
        encoder: The adapted model.
        adapter: Trainable part of the model.
        objective: The contrastive loss.
        replay: General pairs in every step; None without any.
        settings: Settings of the whole run.
        group: The processes that share a batch.
        caches: Activations of the frozen blocks for training rows and general pairs; empty if every block runs.
    """

    encoder: ImageTextEncoder
    adapter: LoraAdapter
    objective: Objective
    replay: Replay | None
    settings: RunSettings
    group: Group
    caches: Sequence[FrozenBlockCache] = ()

    def __post_init__(self) -> None:
        self.base_scale = self.encoder.model.logit_scale.detach().exp().clone()
        self.parameters = list(self.adapter.parameters())

    def backward(self, batch: TwinBatch, replayed: Tensor | None, weight: float, seed: int) -> tuple[float, float]:
        """Add ``weight`` times the gradient of a batch's loss to the adapter's.

        Args:
            batch: Twins.
            replayed: Places of general pairs, int64 [R]; None for none.
            weight: Weight of this loss in the step.
            seed: Seed of dropout.

        Returns:
            The loss, unweighted, and the share of images closer to their own caption than to their twin's.

        Raises:
            TrainingError: if the loss depends on nothing that could learn.
        """
        encodings, general = self._twin_encodings(batch), self._replay_encodings(replayed)
        anchors = self._base_embeddings(encodings, seed) if self.settings.trainer.anchor else None
        accuracy = 0.0

        def loss_of(embedded: Sequence[Tensor]) -> Tensor:
            nonlocal accuracy
            twins = self.as_twins(batch, *embedded[:2])
            with torch.no_grad():
                accuracy = twin_accuracy(twins, "caption", batch.shown)
            loss: Tensor = self.objective(twins) + self._penalties(embedded, anchors)
            if replayed is not None:
                loss = loss + self.settings.replay.weight * self._replay_loss(replayed, *embedded[2:])
            if not loss.requires_grad:
                raise TrainingError(
                    type(self.objective).__name__,
                    "its loss is a constant, from which nothing can be learned",
                    "Leave 4 out of as_released, or choose another objective",
                )
            return weight * loss

        value = backward_in_chunks([*encodings, *general], loss_of, self.parameters, self.group, seed)
        return float(value) / weight, accuracy

    def embed(self, batch: TwinBatch) -> TwinEmbeddings:
        """Return a batch's embeddings without a graph, computed by this process alone."""
        return self.as_twins(batch, *embed(self._twin_encodings(batch), Group(), 0))

    def as_twins(self, batch: TwinBatch, images: Tensor, texts: Tensor) -> TwinEmbeddings:
        """Normalise images [2B, D] and distinct texts [U, D]; scatter the texts to their places."""
        image_norms, text_norms = images.norm(dim=-1).unflatten(0, (2, -1)), texts.norm(dim=-1)
        images, texts = F.normalize(images, dim=-1), F.normalize(texts, dim=-1)
        return TwinEmbeddings(
            images=images.unflatten(0, (2, -1)),
            captions=texts[batch.captions],
            concepts=texts[batch.concepts],
            caption_ids=batch.captions,
            concept_ids=batch.concepts,
            scale=self.encoder.model.logit_scale.float().exp(),
            norms=torch.stack([image_norms, text_norms[batch.captions], text_norms[batch.concepts]]),
            negatives=None if batch.negatives is None else texts[batch.negatives],
            has_negative=batch.has_negative,
        )

    def _penalties(self, embedded: Sequence[Tensor], anchors: tuple[Tensor, Tensor] | None) -> Tensor:
        """Return the loss that holds the model near its base on the twins themselves."""
        trainer, penalty = self.settings.trainer, embedded[0].new_zeros(())
        if anchors is not None:
            images, texts = (F.normalize(e, dim=-1) for e in embedded[:2])
            penalty = penalty + trainer.anchor * anchor_loss(images, texts, *anchors, self.base_scale)
        if trainer.l2_start:
            penalty = penalty + trainer.l2_start * squared_update(self.adapter.updates())
        return penalty

    def _replay_loss(self, rows: Tensor, images: Tensor, texts: Tensor) -> Tensor:
        replay = self._replay()
        return replay_loss(F.normalize(images, dim=-1), F.normalize(texts, dim=-1), rows, replay.images, replay.texts)

    def _base_embeddings(self, encodings: Sequence[Encoding], seed: int) -> tuple[Tensor, Tensor]:
        """Return the base's L2-normalised embeddings of the same pixels and texts."""
        with self.adapter.disabled():
            images, texts = (F.normalize(e, dim=-1) for e in embed(encodings, self.group, seed))
        return images, texts

    def _twin_encodings(self, batch: TwinBatch) -> list[Encoding]:
        cache = self._cache_of(batch.data)
        if cache is not None:
            return self._encodings(
                batch.count,
                len(batch.tokens),
                lambda places: cache.embed_images(batch.images[places]),
                lambda places: cache.embed_texts(batch.texts[places], batch.tokens[places]),
            )
        return self._whole_encodings(batch.count, batch.pixels, batch.tokens)

    def _replay_encodings(self, rows: Tensor | None) -> list[Encoding]:
        if rows is None:
            return []
        replay, cache = self._replay(), self._cache_of(self.replay)
        tokens = crop_tokens(self.encoder.model, replay.tokens[rows]).to(self.encoder.device)
        if cache is not None:
            return self._encodings(
                len(rows),
                len(rows),
                lambda places: cache.embed_images(rows[places]),
                lambda places: cache.embed_texts(rows[places], tokens[places]),
            )
        return self._whole_encodings(len(rows), lambda places: replay.pixels_of(rows[places]), tokens)

    def _cache_of(self, source: object) -> FrozenBlockCache | None:
        return next((cache for cache in self.caches if cache.source is source), None)

    def _replay(self) -> Replay:
        assert self.replay is not None  # noqa: S101 (rows are only drawn if there are pairs)
        return self.replay

    def _whole_encodings(self, images: int, pixels: Callable[[slice], Tensor], tokens: Tensor) -> list[Encoding]:
        """Run both towers on pixels and tokens, as far as the embeddings depend on it; compiled ones are run whole."""
        model, whole = self.encoder.model, self.settings.trainer.compile
        image, text = (embed_image, embed_text) if whole else (embed_image_pooled, embed_text_pooled)
        return self._encodings(
            images, len(tokens), lambda places: image(model, pixels(places)), lambda places: text(model, tokens[places])
        )

    def _encodings(
        self, images: int, texts: int, image: Callable[[slice], Tensor], text: Callable[[slice], Tensor]
    ) -> list[Encoding]:
        chunk = None if self.settings.released(2) else self.settings.trainer.chunk  # as released: a batch of its own
        sizes = (None, None) if chunk is None else (IMAGES_A_TWIN * chunk, TEXTS_A_TWIN * chunk)
        return [
            Encoding(images, self._in_precision(image), sizes[0]),
            Encoding(texts, self._in_precision(text), sizes[1]),
        ]

    def _in_precision(self, embed_part: Callable[[slice], Tensor]) -> Callable[[slice], Tensor]:
        """Compute the towers in bf16 if the settings ask for bf16."""
        precision, device = self.settings.trainer.precision, self.encoder.device
        bf16 = precision == "bf16" or (precision == "auto" and fast_dtype(str(device)) == torch.bfloat16)

        def embedded(places: slice) -> Tensor:
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                return embed_part(places)

        return embedded
