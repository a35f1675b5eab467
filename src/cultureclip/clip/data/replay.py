"""General pairs that hold the tuned model near its base outside of culture.

Distillation of Hinton et al. 2015 (arXiv 1503.02531), from the model before the change: Li and Hoiem 2016 (1606.09282).
"""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from cultureclip.clip.contracts import GeneralPairs
from cultureclip.clip.data.pixels import decode, open_pixels, save_pixels, shown
from cultureclip.clip.data.towers import encode_image, encode_text, tokenize
from cultureclip.errors import TrainingError, WeightsError
from cultureclip.ids import digest
from cultureclip.models.encoder import ImageTextEncoder
from cultureclip.models.weights.checkpoint import load_tensors, save_atomically

logger = logging.getLogger(__name__)

REPLAY_NAME = "replay.safetensors"
_LAYOUT = 2  # part of the key: increase it when the embedding of the same pairs changes
_CHUNK = 256


@dataclass(frozen=True)
class Replay:
    """P general pairs, decoded and tokenised once, with the base's embeddings of them.

    Attributes:
        pixels: uint8 [P, 3, H, W].
        tokens: int64 [P, L].
        images: The base's L2-normalised image embeddings, [P, D].
        texts: The base's L2-normalised text embeddings, [P, D].
        encoder: The model that is held to them.
    """

    pixels: np.ndarray
    tokens: Tensor
    images: Tensor
    texts: Tensor
    encoder: ImageTextEncoder

    def pixels_of(self, rows: Tensor) -> Tensor:
        """Return pictures of some pairs, float [len(rows), 3, H, W], as the model wants them, on its device."""
        return shown(self.pixels, rows, self.encoder)

    def save(self, folder: Path) -> None:
        """Write the files from which another process can :meth:`load` the pairs; cached pixels are not copied."""
        tensors = {"tokens": self.tokens, "images": self.images, "texts": self.texts}
        save_atomically(tensors, folder / REPLAY_NAME, {"pixels": save_pixels(self.pixels, folder)})

    @classmethod
    def load(cls, folder: Path, encoder: ImageTextEncoder) -> "Replay":
        """Return the pairs that :meth:`save` wrote, possibly for a model on another device.

        Raises:
            WeightsError: if the file is missing or damaged.
            StorageError: if the pixels are gone or cut off.
        """
        tensors, metadata = load_tensors(folder / REPLAY_NAME)
        images, texts = (tensors[name].to(encoder.device) for name in ("images", "texts"))
        return cls(open_pixels(folder / metadata["pixels"]), tensors["tokens"], images, texts, encoder)


def prepare_replay(
    general: GeneralPairs, encoder: ImageTextEncoder, long_caption: str, cache_dir: Path | None = None
) -> Replay:
    """Decode and tokenise general pairs, each once, and embed them with the base.

    Args:
        general: The pairs.
        encoder: The base, or a model that an untrained adapter sits on.
        long_caption: Treatment of a text longer than the context: ``error`` or ``truncate``.
        cache_dir: Cache of pixels and embeddings for other trainings of the same base; None caches nothing.

    Raises:
        TrainingError: if there are no pairs, or a picture cannot be read.
        StorageError: if the cache cannot be written.
    """
    wanted = sorted(general.texts)
    decoded = decode(general.pictures, wanted, encoder, cache_dir) if wanted else None
    if decoded is None or decoded.unreadable:
        unreadable = list(decoded.unreadable) if decoded else []
        raise TrainingError(
            "general pairs",
            f"{len(unreadable)} of {len(wanted)} pictures cannot be read {unreadable[:3]}",
            "Fix or remove them, or set train.replay.batch to 0",
        )
    written = [general.texts[i] for i in wanted]
    tokens, _ = tokenize(encoder.model, encoder.tokenizer, written, long_caption)
    if cache_dir is None:
        embedded = _embed(decoded.pixels, tokens, encoder)
    else:
        key = digest("replay", _LAYOUT, encoder.fingerprint, decoded.key, written, long_caption)
        embedded = _embed_once(cache_dir / f"replay-{key}.safetensors", decoded.pixels, tokens, encoder)
    return Replay(decoded.pixels, tokens, embedded["images"], embedded["texts"], encoder)


def _embed_once(path: Path, pixels: np.ndarray, tokens: Tensor, encoder: ImageTextEncoder) -> dict[str, Tensor]:
    """Return the embeddings cached in a file; compute them if the file is missing or damaged."""
    with FileLock(path.with_suffix(".lock")):  # one of several processes makes the file
        try:
            tensors, metadata = load_tensors(path)
            if metadata.get("sha256") == _checksum(tensors):
                return {name: tensor.to(encoder.device) for name, tensor in tensors.items()}
            logger.warning("%s: its values do not match its checksum; the pairs are embedded again", path)
        except WeightsError as error:
            if path.exists():
                logger.warning("%s; the pairs are embedded again", error)
        embedded = _embed(pixels, tokens, encoder)
        save_atomically(embedded, path, {"sha256": _checksum(embedded)})
    return embedded


@torch.no_grad()
def _embed(pixels: np.ndarray, tokens: Tensor, encoder: ImageTextEncoder) -> dict[str, Tensor]:
    """Return L2-normalised embeddings [P, D] of ``images`` and ``texts``."""
    encoder.model.eval()
    chunks = [
        (
            encode_image(encoder.model, shown(pixels, rows, encoder)),
            encode_text(encoder.model, tokens[rows].to(encoder.device)),
        )
        for rows in torch.arange(len(tokens)).split(_CHUNK)
    ]
    images, texts = (torch.cat(part) for part in zip(*chunks, strict=True))
    return {"images": images, "texts": texts}


def _checksum(tensors: dict[str, Tensor]) -> str:
    """Return SHA-256 over tensors, in the order of their names."""
    hasher = hashlib.sha256()
    for name in sorted(tensors):
        hasher.update(tensors[name].cpu().contiguous().numpy().tobytes())
    return hasher.hexdigest()
