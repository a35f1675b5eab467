"""The judge: an image-text encoder whose embeddings are cached by the key of their inputs."""

import base64
import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.progress import progress_bar
from cultureclip.ids import digest
from cultureclip.images.source import ImageSource
from cultureclip.judging.duplicates import look_of
from cultureclip.judging.read import read_images
from cultureclip.judging.settings import JudgeSettings
from cultureclip.models.encoder import ImageTextEncoder, load_encoder
from cultureclip.models.fingerprint import fingerprint
from cultureclip.models.locate import locate
from cultureclip.models.memory import halve_until_it_fits

logger = logging.getLogger(__name__)


class Judge:
    """Embeds each image and text once: results are stored under (weights, item).

    The weights are loaded when the first item is not in the store, so an unchanged run loads no model.

    Args:
        settings: Which model judges, and how.
        store: Cache of the embeddings.

    Raises:
        WeightsError: if the directory or a file in it is missing.
    """

    def __init__(self, settings: JudgeSettings, store: KeyedStore) -> None:
        self.path, self.device, self.store = locate(settings.judge), settings.device, store
        self.batch = settings.batch
        self.fingerprint = fingerprint(self.path)

    @cached_property
    def encoder(self) -> ImageTextEncoder:
        """The model, loaded at first use."""
        logger.debug("Loading the judge from %s", self.path)
        return load_encoder(self.path, self.device)

    def _key(self, kind: str, item: str) -> str:
        return digest("judge", self.fingerprint, kind, item)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return L2-normalised text embeddings, float32 [N, D]."""
        keys = [self._key("text", text) for text in texts]
        kept = self.store.get(dict.fromkeys(keys))
        missing = list({key: text for key, text in zip(keys, texts, strict=True) if key not in kept}.items())
        if missing:
            made = self.encoder.encode_texts([text for _, text in missing])
            answers = {key: {"embedding": _pack(row)} for (key, _), row in zip(missing, made, strict=True)}
            self.store.put(answers)
            kept |= answers
        return np.stack([_unpack(kept[key]) for key in keys])

    def look_at(self, images: ImageSource, ids: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """Embed images and note their looks.

        Args:
            images: Store of the images; every id must be there.
            ids: Images wanted.

        Returns:
            image_id -> embedding (float32 [D]), ``phash``, ``colour`` (hex, see :func:`look_of`) and the ``batch``
            size used. An image that cannot be read is absent, and is tried again in the next run.

        Raises:
            StorageError: if the disk fails, which says nothing about the images.
        """
        keys = {identifier: self._key("image", identifier) for identifier in ids}
        kept = self.store.get(keys.values())
        missing = sorted(identifier for identifier, key in keys.items() if key not in kept)  # neighbours share a shard
        logger.debug("The judge reads %d images, %d are judged already", len(missing), len(keys) - len(missing))
        chunk = self.batch  # fixed here: the batch may shrink on the way
        for start in progress_bar(range(0, len(missing), chunk), desc="judge images", disable=not missing):
            answers = self._answer(images, missing[start : start + chunk])
            self.store.put(answers)
            kept |= answers
        return {i: {**kept[key], "embedding": _unpack(kept[key])} for i, key in keys.items() if key in kept}

    def _answer(self, images: ImageSource, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        pictures = read_images(images, ids)
        if not pictures:
            return {}
        embeddings, batch = self._encode(list(pictures.values()))
        return {
            self._key("image", i): {"embedding": _pack(row), **look_of(picture), "batch": batch}
            for (i, picture), row in zip(pictures.items(), embeddings, strict=True)
        }

    def _encode(self, pictures: list[Image.Image]) -> tuple[np.ndarray, int]:
        made, self.batch = halve_until_it_fits(
            lambda batch: self.encoder.encode_images(pictures, batch=batch), self.batch
        )
        return made, self.batch


def _pack(embedding: np.ndarray) -> str:
    return base64.b64encode(embedding.astype("<f4").tobytes()).decode()


def _unpack(answer: Mapping[str, Any]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(answer["embedding"]), "<f4")
