"""The embedding pass as a job: slices of all pictures and texts, whose vectors the workers store."""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import torch

from cultureclip.benchmarks.embedding.embedder import Embedder, batch_of, image_dtype
from cultureclip.benchmarks.embedding.embedding_store import EmbeddingStore
from cultureclip.benchmarks.embedding.settings import EmbeddingSettings
from cultureclip.engine.job import Job, Slice, slice_name
from cultureclip.engine.progress import progress_bar
from cultureclip.engine.run import SharedWork
from cultureclip.engine.settings import EngineSettings
from cultureclip.ids import digest
from cultureclip.settings_base import Device

logger = logging.getLogger(__name__)

_BATCHES = 16
"""Batches of pictures per slice."""
_TEXTS = 4096
"""Texts per slice."""

Pictures = Mapping[str, Mapping[str, np.ndarray]]
"""Picture -> a mapping that holds it: uint8 [H, W, 3], decoded at each access."""


class Items(NamedTuple):
    """Items to embed, each with its key in the store."""

    kind: Literal["images", "texts"]
    keys: dict[str, str]


class Embedded(NamedTuple):
    """What a worker says of a slice: its number of items, which pictures it could not read, which texts it cut."""

    items: int
    failed: dict[str, str]
    cut: list[str]


@dataclass(frozen=True)
class Pass:
    """One model's pass over pictures and texts.

    Attributes:
        model: The model's location.
        own: Its fingerprint.
        settings: Settings of the pass.
        images: Store of its picture embeddings.
        texts: Store of its text embeddings.
    """

    model: str
    own: str
    settings: EmbeddingSettings
    images: EmbeddingStore
    texts: EmbeddingStore

    def run(
        self, images: Mapping[str, str], texts: Mapping[str, str], pictures: Pictures, engine: EngineSettings
    ) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """Embed what is not stored, where the engine says. Slices are those of all items: workers change no bit.

        Args:
            images: Picture -> its key.
            texts: Text -> its key.
            pictures: Where pictures are read.
            engine: Where items are embedded, and shared with whom.

        Returns:
            Key -> float32 [D]; and picture -> reason why it could not be read.
        """
        batch, dtype = batch_of(self.settings), image_dtype(self.settings)
        plan = digest("embed", self.own, str(dtype), batch, list(images.values()), sorted(texts.values()))
        work = SharedWork(engine, "embeddings", plan)
        kept = self._read(images, texts)
        slices = [
            *_cut("images", images, list(images), batch * _BATCHES, kept),
            *_cut("texts", texts, sorted(texts, key=lambda text: (-len(text), text)), _TEXTS, kept),
        ]
        missing = sum(piece.items for piece in slices)
        logger.debug("Embedding %d of %d items with %s", missing, len(images) + len(texts), self.model)
        settings = self.settings.model_copy(
            update={"batch": batch, "precision": "bf16" if dtype == torch.bfloat16 else "fp32"}
        )
        make_worker = partial(_EmbedSlices, self.model, settings, self.images, self.texts, pictures)
        job = Job("items", slices, make_worker, (__name__, "cultureclip.models.encoder"))
        done = Embedded(0, {}, [])
        with progress_bar(total=missing, desc="embed", disable=not slices) as bar:
            for part in work.run(job):
                bar.update(part.items)
                done.failed.update(part.failed)
                done.cut.extend(part.cut)
        if slices:
            kept = self._read(images, texts)
        # Another run that shares the job does not say which pictures it could not read.
        if unknown := {name: key for name, key in images.items() if key not in kept and name not in done.failed}:
            for part in make_worker(None)(Items("images", unknown)):
                done.failed.update(part.failed)
            kept |= self.images.get(unknown.values())
        if done.cut:
            logger.warning("%d texts are cut to the context of %s, such as %r", len(done.cut), self.model, done.cut[0])
        return kept, done.failed

    def _read(self, images: Mapping[str, str], texts: Mapping[str, str]) -> dict[str, np.ndarray]:
        return self.images.get(images.values()) | self.texts.get(texts.values())


def _cut(
    kind: Literal["images", "texts"], keys: Mapping[str, str], order: list[str], size: int, kept: Collection[str]
) -> Iterator[Slice[Items]]:
    """Cut all items into slices, and keep in each what is missing; the texts of a slice in alphabetical order."""
    for start in range(0, len(order), size):
        cut = order[start : start + size]
        lacking = [item for item in cut if keys[item] not in kept]
        if lacking:
            items = Items(kind, {item: keys[item] for item in (sorted(lacking) if kind == "texts" else lacking)})
            yield Slice(slice_name(keys[item] for item in cut), items, len(lacking))


class _EmbedSlices:
    """Embeds slices with a model of its own, on a device of its own."""

    def __init__(
        self,
        model: str,
        settings: EmbeddingSettings,
        images: EmbeddingStore,
        texts: EmbeddingStore,
        pictures: Pictures,
        device: Device | None,
    ) -> None:
        if device is not None:
            settings = settings.model_copy(update={"device": device})
        self.embedder, self.pictures = Embedder(model, settings, images, texts), pictures

    def __call__(self, items: Items) -> Iterable[Embedded]:
        """Embed and store the items of a slice; yields what became of them."""
        if items.kind == "images":
            yield Embedded(len(items.keys), self.embedder.embed_images(items.keys, self.pictures), [])
        else:
            yield Embedded(len(items.keys), {}, self.embedder.embed_texts(items.keys))
