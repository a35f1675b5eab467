"""Run a model: texts of similar length together, pictures decoded ahead, every result cached."""

import logging
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
from cultureclip.engine.progress import progress_bar
from cultureclip.errors import SourceDataError
from cultureclip.models.families import load_model
from cultureclip.models.memory import halve_until_it_fits
from cultureclip.models.precision import fast_dtype

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

_KEPT_TOGETHER = 4096
"""Rows per file of the store: the most that an interrupted pass loses."""
_WORKERS = min(16, os.cpu_count() or 1)
"""Threads that decode and resize; Pillow does both without holding the interpreter lock."""


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
        self.batch = settings.batch or (32 if torch.device(settings.device).type == "cpu" else 256)
        self.encoder = load_model(model, settings.device)
        self.encoder.image_dtype = image_dtype(settings)

    def embed_texts(self, keys: Mapping[str, str]) -> dict[str, np.ndarray]:
        """Embed texts, the longest first and similar lengths together: each batch is cut to its longest text.

        Args:
            keys: Text -> its key in the store.

        Returns:
            Key -> float32 [D].
        """
        if not keys:
            return {}
        tokens = self.encoder.tokenizer(list(keys))
        lengths = self.encoder.count_tokens(tokens)
        self._warn_of_cut_texts(list(keys), lengths, tokens.shape[1])
        order, names = lengths.argsort(descending=True, stable=True), list(keys.values())
        made: dict[str, np.ndarray] = {}
        for chosen in progress_bar(order.split(_KEPT_TOGETHER), desc="embed texts"):
            vectors = self._run(self.encoder.embed_tokens, tokens[chosen])
            made |= self._keep(self.texts, [names[i] for i in chosen.tolist()], vectors)
        return made

    def embed_images(
        self, keys: Mapping[str, str], pictures: Mapping[str, Mapping[str, np.ndarray]]
    ) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """Return the embeddings of pictures.

        Args:
            keys: Picture -> its key in the store.
            pictures: Picture -> a mapping that holds it: uint8 [H, W, 3].

        Returns:
            Key -> float32 [D]; and picture -> reason why it could not be read.
        """

        def prepare(name: str) -> tuple[str, Tensor | str]:
            try:
                return name, self.encoder.preprocess(Image.fromarray(pictures[name][name]))
            except (SourceDataError, OSError, ValueError) as error:
                return name, str(error)

        made: dict[str, np.ndarray] = {}
        failed: dict[str, str] = {}
        with ThreadPoolExecutor(_WORKERS) as pool, progress_bar(total=len(keys), desc="embed images") as bar:
            for part in _split(list(keys), _KEPT_TOGETHER):
                names: list[str] = []
                vectors: list[Tensor] = []
                for ready in _read_ahead(pool, prepare, _split(part, self.batch)):
                    whole = {name: pixels for name, pixels in ready if isinstance(pixels, Tensor)}
                    failed |= {name: reason for name, reason in ready if isinstance(reason, str)}
                    if whole:
                        vectors.append(self._run(self.encoder.embed_pixels, torch.stack(list(whole.values()))))
                        names += whole
                    bar.update(len(ready))
                if names:
                    made |= self._keep(self.images, [keys[name] for name in names], torch.cat(vectors))
        return made, failed

    def _warn_of_cut_texts(self, texts: list[str], lengths: Tensor, context: int) -> None:
        """Log how many texts the context is too short for; a tower that reads its padding cannot tell."""
        if lengths.max() < context or lengths.min() == context:
            return
        roomy = self.encoder.tokenizer(texts, context_length=context + 1)
        cut = [text for text, count in zip(texts, self.encoder.count_tokens(roomy), strict=True) if count > context]
        if cut:
            logger.warning("%d texts are cut to the %d tokens of %s, such as %r", len(cut), context, self.model, cut[0])

    def _run(self, embed: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
        def run(batch: int) -> Tensor:
            return torch.cat([embed(part) for part in inputs.split(batch)])

        vectors, self.batch = halve_until_it_fits(run, self.batch)
        return vectors

    def _keep(self, store: EmbeddingStore, keys: Sequence[str], vectors: Tensor) -> dict[str, np.ndarray]:
        rows = vectors.numpy()
        store.add(keys, rows, self.batch)
        return dict(zip(keys, rows, strict=True))


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
