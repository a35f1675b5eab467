"""An open_clip model with its preprocessing and tokenizer: the trainee, the judge and any model that is evaluated."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image
from tqdm.auto import tqdm

from cultureclip.errors import WeightsError
from cultureclip.models.checkpoint import load_tensors

CONFIG_NAME, WEIGHTS_NAME = "open_clip_config.json", "open_clip_model.safetensors"


@dataclass
class ImageTextEncoder:
    """A contrastive image-text model, ready to embed.

    Attributes:
        model: The ``open_clip`` module.
        preprocess: PIL image -> float tensor [3, H, W], as the model was trained with.
        tokenizer: list of texts -> int64 tensor [N, context_length].
        fingerprint: SHA-256 over weights and config; the key under which embeddings may be kept.
    """

    model: Any
    preprocess: Any
    tokenizer: Any
    fingerprint: str

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @torch.no_grad()
    def encode_images(self, images: Sequence[Image.Image], batch: int = 256) -> np.ndarray:
        """L2-normalised image embeddings, float32 [N, D]."""
        self.model.eval()
        chunks = []
        for start in tqdm(range(0, len(images), batch), desc="embed images", disable=len(images) <= batch):
            pixels = torch.stack([self.preprocess(i.convert("RGB")) for i in images[start : start + batch]])
            chunks.append(self.model.encode_image(pixels.to(self.device), normalize=True).float().cpu())
        return torch.cat(chunks).numpy() if chunks else np.zeros((0, 0), np.float32)

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str], batch: int = 512) -> np.ndarray:
        """L2-normalised text embeddings, float32 [N, D]; each distinct text is computed once."""
        self.model.eval()
        distinct = list(dict.fromkeys(texts))
        chunks = [
            self.model.encode_text(self.tokenizer(distinct[i : i + batch]).to(self.device), normalize=True)
            .float()
            .cpu()
            for i in range(0, len(distinct), batch)
        ]
        if not chunks:
            return np.zeros((0, 0), np.float32)
        place = {text: i for i, text in enumerate(distinct)}
        return torch.cat(chunks).numpy()[[place[text] for text in texts]]


def fingerprint(path: str | Path) -> str:
    """SHA-256 over an encoder directory's weights and config, without loading the model.

    Raises:
        WeightsError: the weights or the config are missing.
    """
    folder, hasher = Path(path), hashlib.sha256()
    for name in (WEIGHTS_NAME, CONFIG_NAME):
        if not (folder / name).is_file():
            raise WeightsError(folder / name, "no such file", "Give the directory of an open_clip model")
        with (folder / name).open("rb") as handle:
            while block := handle.read(1 << 24):
                hasher.update(block)
    return hasher.hexdigest()


def load_encoder(path: str | Path, device: str = "cpu") -> ImageTextEncoder:
    """Load a directory that open_clip's ``local-dir:`` schema reads.

    Args:
        path: Directory with ``open_clip_config.json``, ``open_clip_model.safetensors`` and tokenizer files.
        device: Where to put the weights.

    Raises:
        WeightsError: the directory or a file in it is missing, truncated, holds NaN, or does not fit its config.
    """
    folder = Path(path)
    config, weights = folder / CONFIG_NAME, folder / WEIGHTS_NAME
    if not config.is_file():
        raise WeightsError(config, "no such model config", "Give the directory of an open_clip model")
    state, _ = load_tensors(weights)
    for name, tensor in state.items():
        if tensor.is_floating_point() and tensor.isnan().any():
            raise WeightsError(
                weights, f"{name} holds values that are no numbers", "Copy the file or train the model anew"
            )
    try:
        with _weights_follow():
            model, _, preprocess = open_clip.create_model_and_transforms(
                f"local-dir:{folder}", device=device, load_weights=False
            )
        model.load_state_dict(state)
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        raise WeightsError(folder, f"weights and config disagree ({error})", "Take both from one release") from error
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    return ImageTextEncoder(model.eval(), preprocess, tokenizer, fingerprint(folder))


@contextmanager
def _weights_follow() -> Iterator[None]:
    """Keep open_clip from warning of random weights: we check and load them ourselves, right after."""

    def keep(record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("No pretrained weights loaded")

    root = logging.getLogger()
    root.addFilter(keep)
    try:
        yield
    finally:
        root.removeFilter(keep)
