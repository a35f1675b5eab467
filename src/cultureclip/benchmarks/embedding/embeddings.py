"""One embedding pass per model: every distinct picture and text of all benchmarks once, cached on disk."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from cultureclip.benchmarks.embedding.embedder import image_dtype
from cultureclip.benchmarks.embedding.embedding_store import EmbeddingStore
from cultureclip.benchmarks.embedding.job import Pass
from cultureclip.benchmarks.embedding.settings import EmbeddingSettings
from cultureclip.benchmarks.protocols.benchmark import Benchmark, Embeddings
from cultureclip.engine.settings import HERE, EngineSettings
from cultureclip.errors import ConfigurationError, WeightsError
from cultureclip.ids import digest
from cultureclip.models.families import fingerprint_model
from cultureclip.models.weights.fingerprint import fingerprint
from cultureclip.reading.pictures import RULES


def check_bases(base: Path, tuned: Mapping[str, str]) -> None:
    """Make sure that every model was tuned from the model that is called the base.

    Args:
        base: The base's open_clip directory.
        tuned: Model -> fingerprint of its base, as its card has it.

    Raises:
        ConfigurationError: if the base is another model.
        WeightsError: if there is no model.
    """
    own = fingerprint(base)
    others = sorted(model for model, of in tuned.items() if of != own)
    if others:
        raise ConfigurationError(
            "evaluation.base_model",
            f"{base} is not what {', '.join(others)} was tuned from",
            "Give the directory that train.base names, or train again",
        )


def embed_benchmarks(
    model: str | Path,
    benchmarks: Sequence[Benchmark],
    cache: Path,
    settings: EmbeddingSettings | None = None,
    engine: EngineSettings = HERE,
) -> Embeddings:
    """Return the embeddings of everything that the benchmarks ask about; read cached ones and embed the others.

    The cache key has the digest of the model (weights, config, preprocessing, tokenizer), the number type of the tower
    and the content of the text, or of the picture with its decoding rules. So nothing stale can be read, and a new
    benchmark costs only its own items. A model whose items are all cached is not loaded.

    Args:
        model: The model's location, as :func:`~cultureclip.models.families.locate_model` reads it.
        benchmarks: Benchmarks to embed.
        cache: Folder of kept embeddings.
        settings: Settings of the pass; by default fp32 on the CPU.
        engine: Where the items are embedded, and shared with whom.

    Returns:
        The embeddings. An unreadable picture has no row and is listed in ``failed``; the next pass tries it again.

    Raises:
        WeightsError: if the model cannot be loaded, gives numbers that are not finite, or its towers' sizes differ.
    """
    settings = settings or EmbeddingSettings()
    own = fingerprint_model(model)
    image_store = EmbeddingStore(cache, own, "images", image_dtype(settings))
    text_store = EmbeddingStore(cache, own, "texts", torch.float32)
    pictures = {name: benchmark.images for benchmark in benchmarks for name in benchmark.images}
    # Follow the order on disk: a table is read from front to back.
    images = {name: digest("image", RULES, name) for name in pictures}
    texts = {text: digest("text", text) for text in sorted({t for benchmark in benchmarks for t in benchmark.texts})}
    one_pass = Pass(str(model), own, settings, image_store, text_store)
    kept, failed = one_pass.run(images, texts, pictures, engine)
    image_vectors, image_rows = _stack(images, kept)
    text_vectors, text_rows = _stack(texts, kept)
    if image_rows and text_rows and image_vectors.shape[1] != text_vectors.shape[1]:
        sizes = f"{image_vectors.shape[1]} numbers for an image, {text_vectors.shape[1]} for a text"
        raise WeightsError(model, f"its towers' embeddings differ in size: {sizes}", "Take both from one release")
    return Embeddings(image_vectors, text_vectors, image_rows, text_rows, failed)


def _stack(keys: Mapping[str, str], kept: Mapping[str, np.ndarray]) -> tuple[np.ndarray, dict[str, int]]:
    """Return the vectors of the items that have one, [N, D], and the row of each."""
    found = [item for item, key in keys.items() if key in kept]
    vectors = np.stack([kept[keys[item]] for item in found]) if found else np.zeros((0, 0), np.float32)
    return vectors, {item: row for row, item in enumerate(found)}
