"""A contrastive image-text model with its preprocessing and tokenizer: the trainee, the judge, whatever is evaluated.

This file holds the common parts and the ``open_clip`` models; ``transformers`` ones are in ``models/huggingface.py``.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from cultureclip.engine.progress import progress_bar
from cultureclip.errors import WeightsError
from cultureclip.models.finite import check_computed
from cultureclip.models.memory import fitting_into_memory
from cultureclip.models.text_tower import embed_text, pool_positions
from cultureclip.models.weights.fingerprint import fingerprint
from cultureclip.models.weights.open_clip_weights import PREFERRED_NAMES, find_open_clip_weights, load_open_clip_weights
from cultureclip.reading.json_text import read_object
from cultureclip.reading.pictures import to_rgb
from cultureclip.reading.text import RefusedError

logger = logging.getLogger(__name__)

_SMALLER = "Take a smaller model or another device"
CONFIG_NAME, WEIGHTS_NAME = "open_clip_config.json", PREFERRED_NAMES[0]


@dataclass
class ImageTextEncoder:
    """A contrastive image-text model, ready to embed.

    Attributes:
        model: The ``open_clip`` module.
        preprocess: PIL image -> float tensor [3, H, W], as the model was trained with.
        tokenizer: list of texts -> int64 tensor [N, context_length]; another length is asked for by that name.
        fingerprint: SHA-256 over weights, config, preprocessing and tokenizer; the key under which embeddings may be
            kept.
        source: Place that it was loaded from; errors name it.
        image_dtype: Number type of the image tower's matrix products; weights, the text tower and everything after the
            towers are float32.
    """

    model: Any
    preprocess: Any
    tokenizer: Any
    fingerprint: str
    source: Path
    image_dtype: torch.dtype = torch.float32

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        weights: Tensor = next(self.model.parameters())
        return weights.device

    def count_tokens(self, tokens: Tensor) -> Tensor:
        """Return how many tokens of each text [N, L] its embedding depends on, int64 [N]."""
        positions = pool_positions(self.model, tokens)
        return torch.full((len(tokens),), tokens.shape[1]) if positions is None else positions + 1

    @torch.no_grad()
    def embed_pixels(self, pixels: Tensor) -> Tensor:
        """Return L2-normalised embeddings [N, D] of preprocessed images [N, 3, H, W], float32 on the CPU.

        Raises:
            WeightsError: if an embedding is not finite.
        """
        with torch.autocast(self.device.type, self.image_dtype, enabled=self.image_dtype != torch.float32):
            vectors = self._image_vectors(pixels.to(self.device))
        return self._normalised(vectors, "images")

    @torch.no_grad()
    def embed_tokens(self, tokens: Tensor) -> Tensor:
        """Return L2-normalised embeddings [N, D] of tokens [N, L], cut to the longest text, float32 on the CPU.

        Raises:
            WeightsError: if an embedding is not finite.
        """
        length = int(self.count_tokens(tokens).max())
        return self._normalised(self._text_vectors(tokens[:, :length].to(self.device)), "texts")

    def encode_images(self, images: Sequence[Image.Image], batch: int = 256) -> np.ndarray:
        """Return L2-normalised image embeddings, float32 [N, D]."""
        self.model.eval()
        chunks = []
        for start in progress_bar(range(0, len(images), batch), desc="embed images", disable=len(images) <= batch):
            pixels = torch.stack([self.preprocess(to_rgb(i)) for i in images[start : start + batch]])
            chunks.append(self.embed_pixels(pixels))
        return torch.cat(chunks).numpy() if chunks else np.zeros((0, 0), np.float32)

    def encode_texts(self, texts: Sequence[str], batch: int = 512) -> np.ndarray:
        """Return L2-normalised text embeddings, float32 [N, D]; each distinct text is computed once."""
        if not texts:
            return np.zeros((0, 0), np.float32)
        self.model.eval()
        place = {text: i for i, text in enumerate(dict.fromkeys(texts))}
        tokens = self.tokenizer(list(place))
        vectors = torch.cat([self.embed_tokens(part) for part in tokens.split(batch)]).numpy()
        return vectors[[place[text] for text in texts]]

    def _normalised(self, vectors: Tensor, items: str) -> Tensor:
        normalised = F.normalize(vectors.float(), dim=-1).cpu()
        check_computed(normalised, self.source, f"{items} have embeddings")
        return normalised

    def _image_vectors(self, pixels: Tensor) -> Tensor:
        vectors: Tensor = self.model.encode_image(pixels)
        return vectors

    def _text_vectors(self, tokens: Tensor) -> Tensor:
        return embed_text(self.model, tokens)


def load_encoder(path: str | Path, device: str = "cpu") -> ImageTextEncoder:
    """Load a directory that open_clip's ``local-dir:`` schema reads.

    Args:
        path: Directory with ``open_clip_config.json``, ``open_clip_model.safetensors`` and tokenizer files.
        device: Device of the weights.

    Raises:
        WeightsError: if the directory or a file in it is missing, truncated, holds NaN, or does not fit its config; or
            if the config does not say how images are normalised.
    """
    folder = Path(path)
    config = folder / CONFIG_NAME
    if not config.is_file():
        raise WeightsError(config, "no such model config", "Give the directory of an open_clip model")
    _check_preprocessing(config)
    own = fingerprint(folder)
    model, preprocess = _create(f"local-dir:{folder}", find_open_clip_weights(folder), device)
    return ImageTextEncoder(model, preprocess, open_clip.get_tokenizer(f"local-dir:{folder}"), own, folder)


def load_open_clip_file(architecture: str, tag: str, weights: Path, fingerprint: str, device: str) -> ImageTextEncoder:
    """Load bare open_clip weights; the release's tag says how images are prepared and which activation is computed.

    Args:
        architecture: A name in ``open_clip.list_models()``.
        tag: A release of it in ``open_clip.list_pretrained()``, with whose preprocessing the weights were trained.
        weights: A safetensors file.
        fingerprint: Digest of all of these.
        device: Device of the weights.

    Raises:
        WeightsError: if the architecture or tag is unknown, the architecture computes another activation than the
            release, or the weights do not fit.
    """
    release = open_clip.pretrained.get_pretrained_cfg(architecture, tag)
    if not release:
        known = ", ".join(open_clip.pretrained.list_pretrained_tags_by_model(architecture)) or "none"
        raise WeightsError(
            weights,
            f"open_clip knows no release {tag!r} of {architecture!r}",
            f"Name the release with whose preprocessing the weights were trained; known: {known}",
        )
    activations = [
        "QuickGELU" if config.get("quick_gelu", False) else "GELU"
        for config in (open_clip.get_model_config(architecture), release)
    ]
    if activations[0] != activations[1]:
        raise WeightsError(
            weights,
            f"{architecture} computes {activations[0]}, {tag}'s weights were trained with {activations[1]}",
            f"Name {architecture}-quickgelu, or {architecture.removesuffix('-quickgelu')} for GELU",
        )
    overrides = {f"image_{name}": release[name] for name in ("mean", "std", "interpolation", "resize_mode")}
    model, preprocess = _create(architecture, weights, device, **overrides)
    return ImageTextEncoder(model, preprocess, open_clip.get_tokenizer(architecture), fingerprint, weights)


def _create(name: str, weights: Path, device: str, **preprocessing: Any) -> tuple[Any, Any]:
    try:
        with _weights_follow(), fitting_into_memory(weights, _SMALLER, f"the memory of {device}"):
            model, _, preprocess = open_clip.create_model_and_transforms(
                name, device=device, load_weights=False, pretrained_text=False, **preprocessing
            )
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        raise WeightsError(
            weights.parent, f"open_clip cannot build the model of its config ({error})", "Take it from the release"
        ) from error
    load_open_clip_weights(model, weights)
    return model.eval(), preprocess


def _check_preprocessing(config: Path) -> None:
    """Require mean and std in the config: without them, open_clip would silently use OpenAI's."""
    try:
        given = read_object(config).get("preprocess_cfg") or {}
        absent = [name for name in ("mean", "std") if not given.get(name)]
    except (OSError, RefusedError, AttributeError) as error:
        raise WeightsError(config, f"not a model config ({error})", "Copy or download it again") from error
    if absent:
        raise WeightsError(
            config,
            f"preprocess_cfg lacks {' and '.join(absent)}",
            "Write what the model was trained with: OpenAI's mean is "
            f"{list(open_clip.OPENAI_DATASET_MEAN)} and std {list(open_clip.OPENAI_DATASET_STD)}, SigLIP's 0.5 each",
        )
    if (given["mean"], given["std"]) not in _released_normalisations():
        logger.warning(
            "%s: mean %s and std %s are of no release that open_clip knows: right only if this model was trained so",
            config,
            given["mean"],
            given["std"],
        )


def _released_normalisations() -> list[tuple[list[float], list[float]]]:
    """Return mean and std of every release that open_clip lists."""
    releases = (open_clip.pretrained.get_pretrained_cfg(*names) for names in open_clip.list_pretrained())
    return [(list(release["mean"]), list(release["std"])) for release in releases]


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
