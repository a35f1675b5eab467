"""Run a model: texts of similar length together, pictures decoded ahead, every result cached."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cultureclip.benchmarks.embedding.embedding_store import EmbeddingStore
from cultureclip.benchmarks.embedding.settings import EmbeddingSettings
from cultureclip.errors import SourceDataError
from cultureclip.models.families import load_model
from cultureclip.models.memory import halve_until_it_fits
from cultureclip.models.precision import fast_dtype

Item = TypeVar("Item")
Result = TypeVar("Result")

_WORKERS = min(16, os.cpu_count() or 1)
"""Threads that decode and resize; Pillow does both without holding the interpreter lock."""


def batch_of(settings: EmbeddingSettings) -> int:
    """Return the most items in one forward pass."""
    return settings.batch or (32 if torch.device(settings.device).type == "cpu" else 256)


def image_dtype(settings: EmbeddingSettings) -> torch.dtype:
    """Return the dtype of the image tower's matrix products."""
    if settings.precision == "auto":
        return fast_dtype(settings.device)
    return torch.bfloat16 if settings.precision == "bf16" else torch.float32


class Embedder:
    """A loaded model whose results are cached.

    Args:
        model: The model's location.
        settings: Precision, batch and device.
        images: Store of its picture embeddings.
        texts: Store of its text embeddings.

    Raises:
        WeightsError: if the model cannot be loaded.
    """

    def __init__(
        self, model: str | Path, settings: EmbeddingSettings, images: EmbeddingStore, texts: EmbeddingStore
    ) -> None:
        self.model, self.images, self.texts = model, images, texts
        self.batch = batch_of(settings)
        self.encoder = load_model(model, settings.device)
        self.encoder.image_dtype = image_dtype(settings)

    def embed_texts(self, keys: Mapping[str, str]) -> list[str]:
        """Embed texts, the longest first and similar lengths together: each batch is cut to its longest text.

        Args:
            keys: Text -> its key in the store; at least one.

        Returns:
            The texts that the context is too short for.
        """
        tokens = self.encoder.tokenizer(list(keys))
        lengths = self.encoder.count_tokens(tokens)
        order, names = lengths.argsort(descending=True, stable=True), list(keys.values())
        vectors = self._run(self.encoder.embed_tokens, tokens[order])
        self._keep(self.texts, [names[i] for i in order.tolist()], vectors)
        return self._find_cut(list(keys), lengths, tokens.shape[1])

    def embed_images(self, keys: Mapping[str, str], pictures: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, str]:
        """Embed pictures; two batches of them are in memory.

        Args:
            keys: Picture -> its key in the store.
            pictures: Picture -> a mapping that holds it: uint8 [H, W, 3].

        Returns:
            Picture -> reason why it could not be read.
        """

        def prepare(name: str) -> tuple[str, Tensor | str]:
            try:
                return name, self.encoder.preprocess(Image.fromarray(pictures[name][name]))
            except (SourceDataError, OSError, ValueError) as error:
                return name, str(error)

        failed: dict[str, str] = {}
        names: list[str] = []
        vectors: list[Tensor] = []
        with ThreadPoolExecutor(_WORKERS) as pool:
            for ready in _read_ahead(pool, prepare, _split(list(keys), self.batch)):
                whole = {name: pixels for name, pixels in ready if isinstance(pixels, Tensor)}
                failed |= {name: reason for name, reason in ready if isinstance(reason, str)}
                if whole:
                    vectors.append(self._run(self.encoder.embed_pixels, torch.stack(list(whole.values()))))
                    names += whole
        if names:
            self._keep(self.images, [keys[name] for name in names], torch.cat(vectors))
        return failed

    def _find_cut(self, texts: list[str], lengths: Tensor, context: int) -> list[str]:
        """Return the texts that the context is too short for; a tower that reads its padding cannot tell."""
        if lengths.max() < context or lengths.min() == context:
            return []
        roomy = self.encoder.tokenizer(texts, context_length=context + 1)
        return [text for text, count in zip(texts, self.encoder.count_tokens(roomy), strict=True) if count > context]

    def _run(self, embed: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
        def run(batch: int) -> Tensor:
            return torch.cat([embed(part) for part in inputs.split(batch)])

        vectors, self.batch = halve_until_it_fits(run, self.batch)
        return vectors

    def _keep(self, store: EmbeddingStore, keys: Sequence[str], vectors: Tensor) -> None:
        store.add(keys, vectors.numpy(), self.batch)


def _split(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _read_ahead(
    pool: Executor, work: Callable[[Item], Result], batches: Iterator[Sequence[Item]]
) -> Iterator[list[Result]]:
    """Work through batches; the pool prepares the next batch while the caller uses one."""
    current = None
    for batch in batches:
        following = [pool.submit(work, item) for item in batch]
        if current is not None:
            yield [future.result() for future in current]
        current = following
    if current is not None:
        yield [future.result() for future in current]
