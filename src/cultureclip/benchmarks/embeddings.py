"""One embedding pass a model: every distinct picture and text of all benchmarks once, kept on disk."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cultureclip.benchmarks.benchmark import Benchmark, Embeddings
from cultureclip.errors import ConfigurationError, WeightsError
from cultureclip.ids import bytes_digest, digest

logger = logging.getLogger(__name__)


def folder_fingerprint(folder: Path) -> str:
    """Digest of all files of a model's directory: weights, config (with its preprocessing) and tokenizer.

    It is taken without loading the model, so that a model whose embeddings are kept is never loaded.

    Raises:
        WeightsError: there is no such directory, or it is empty.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise WeightsError(folder, "no model directory", "Run the pipeline that makes it: kedro run --pipeline=train")
    return digest([(path.relative_to(folder).as_posix(), bytes_digest(path.read_bytes())) for path in files])


def check_bases(base: Path, tuned: Mapping[str, str]) -> None:
    """Make sure that what is called the base is what every model was tuned from.

    Args:
        base: The base's open_clip directory.
        tuned: Model -> fingerprint of its base, as its card has it.

    Raises:
        ConfigurationError: it is another model.
        WeightsError: there is no model.
    """
    from cultureclip.models.encoder import fingerprint

    own = fingerprint(base)
    others = sorted(model for model, of in tuned.items() if of != own)
    if others:
        raise ConfigurationError(
            "evaluation.base_model",
            f"{base} is not what {', '.join(others)} was tuned from",
            "Give the directory that train.base names, or train again",
        )


def embed_benchmarks(model: Path, benchmarks: Sequence[Benchmark], cache: Path) -> Embeddings:
    """Embeddings of everything that the benchmarks ask about, read from the cache where they are kept.

    The cache's key is the model's fingerprint with the digest of pictures and texts: nothing stale can be read.

    Args:
        model: An open_clip model directory.
        benchmarks: What will be asked.
        cache: Folder of kept embeddings.

    Raises:
        WeightsError: the model cannot be loaded, or it returns numbers that are not finite.
    """
    from cultureclip.models.checkpoint import load_tensors, save_atomically

    pictures = {key: pixels for benchmark in benchmarks for key, pixels in benchmark.images.items()}
    texts = sorted({text for benchmark in benchmarks for text in benchmark.texts})
    keys = sorted(pictures)
    path = cache / f"{digest(folder_fingerprint(model), keys, texts)}.safetensors"
    vectors = None
    if path.exists():
        try:
            vectors = {name: tensor.numpy() for name, tensor in load_tensors(path)[0].items()}
        except WeightsError as error:
            logger.warning("Kept embeddings are damaged and are made again: %s", error)
    if vectors is None:
        vectors = _embed(model, [pictures[key] for key in keys], texts)
        save_atomically(_tensors(vectors), path)
    rows = {key: i for i, key in enumerate(keys)}, {text: i for i, text in enumerate(texts)}
    return Embeddings(vectors["images"], vectors["texts"], *rows)


def _embed(model: Path, pictures: Sequence[np.ndarray], texts: Sequence[str]) -> dict[str, np.ndarray]:
    from PIL import Image

    from cultureclip.models.encoder import load_encoder

    logger.info("Embedding %d pictures and %d texts with %s", len(pictures), len(texts), model)
    encoder = load_encoder(model)
    images = [Image.fromarray(pixels) for pixels in pictures]
    vectors = {"images": encoder.encode_images(images), "texts": encoder.encode_texts(texts)}
    for name, values in vectors.items():
        if not np.isfinite(values).all():
            bad = int((~np.isfinite(values).all(axis=1)).sum())
            raise WeightsError(
                model, f"{bad} of {len(values)} {name} have embeddings that are not finite", "Train it again"
            )
    return vectors


def _tensors(vectors: dict[str, np.ndarray]) -> dict:
    import torch

    return {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in vectors.items()}
