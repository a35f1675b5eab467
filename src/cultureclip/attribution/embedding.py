"""Embeddings of pictures and names, each computed once and kept by the encoder and what is embedded."""

import base64
import logging
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TypeVar

import numpy as np
from PIL import Image

from cultureclip.attribution.settings import LinkSettings
from cultureclip.engine.disk import check_picture_error
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.progress import progress_bar
from cultureclip.errors import DamagedImageError, SourceDataError
from cultureclip.ids import digest
from cultureclip.images.source import ImageSource
from cultureclip.models.encoder import ImageTextEncoder
from cultureclip.models.families import fingerprint_model, load_model
from cultureclip.models.memory import halve_until_it_fits
from cultureclip.reading.pictures import to_rgb

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError, DamagedImageError, SourceDataError)
"""Errors that are about one picture: of Pillow, of the readers, and of the image store."""
_TEXTS_AT_ONCE = 4096


class Embedder:
    """An image-text encoder that remembers. Its weights are read when something is embedded for the first time.

    Args:
        settings: Which encoder, and how.
        store: Where embeddings are kept.

    Raises:
        WeightsError: if the model or a file of it is missing.
    """

    def __init__(self, settings: LinkSettings, store: KeyedStore) -> None:
        self._settings, self._store, self._batch = settings, store, settings.batch
        self.fingerprint = fingerprint_model(settings.encoder)

    @cached_property
    def encoder(self) -> ImageTextEncoder:
        """The model, read at first use."""
        return load_model(self._settings.encoder, self._settings.device)

    def embed_texts(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        """Return text -> L2-normalised embedding, float32 [D]."""
        keys = {text: self._key("text", text) for text in texts}
        kept = self._store.get(keys.values())
        missing = [text for text, key in keys.items() if key not in kept]
        for start in range(0, len(missing), _TEXTS_AT_ONCE):
            part = missing[start : start + _TEXTS_AT_ONCE]
            rows = self.encoder.encode_texts(part)
            made = {keys[text]: _pack(row) for text, row in zip(part, rows, strict=True)}
            self._store.put(made)
            kept |= made
        return {text: _unpack(kept[key]) for text, key in keys.items()}

    def embed_pictures(self, pictures: ImageSource, ids: Sequence[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """Embed pictures batch by batch; a killed run loses at most a batch.

        Returns:
            Picture -> L2-normalised embedding, float32 [D]; and unreadable picture -> why it cannot be read. The latter
            are tried again in the next run.

        Raises:
            StorageError: if the disk fails, which says nothing about the pictures.
        """
        sums, faults = read_each(pictures.checksums, list(dict.fromkeys(ids)))
        keys = {picture: self._key("picture", checksum) for picture, checksum in sums.items()}
        kept = self._store.get(keys.values())
        missing = [picture for picture, key in keys.items() if key not in kept]
        for start in progress_bar(range(0, len(missing), self._settings.batch), desc="embed", disable=not missing):
            opened, refused = read_each(pictures.read, missing[start : start + self._settings.batch])
            faults |= refused
            if opened:
                rows = self._encode([to_rgb(image) for image in opened.values()])
                made = {keys[picture]: _pack(row) for picture, row in zip(opened, rows, strict=True)}
                self._store.put(made)
                kept |= made
        for picture, cause in faults.items():
            logger.warning("Picture %s cannot be read: %s", picture, cause)
        return {picture: _unpack(kept[key]) for picture, key in keys.items() if key in kept}, faults

    def _encode(self, images: list[Image.Image]) -> np.ndarray:
        rows, self._batch = halve_until_it_fits(lambda batch: self.encoder.encode_images(images, batch), self._batch)
        return rows

    def _key(self, kind: str, item: str) -> str:
        return digest("attribution", self.fingerprint, kind, item)


def read_each(
    read: Callable[[Sequence[str]], Sequence[Result]], ids: Sequence[str]
) -> tuple[dict[str, Result], dict[str, str]]:
    """Read many items at once; where that fails, read halves, so that only what is unreadable is lost.

    Returns:
        Id -> what was read; and id -> why it was not.

    Raises:
        StorageError: if the disk fails.
    """
    try:
        return dict(zip(ids, read(ids), strict=True)), {}
    except _UNREADABLE as error:
        check_picture_error(error)
        if len(ids) == 1:
            return {}, {ids[0]: error.cause if isinstance(error, SourceDataError) else str(error)}
    found: dict[str, Result] = {}
    faults: dict[str, str] = {}
    middle = len(ids) // 2
    for part in (ids[:middle], ids[middle:]):
        read_part, refused = read_each(read, part)
        found |= read_part
        faults |= refused
    return found, faults


def _pack(row: np.ndarray) -> str:
    return base64.b64encode(row.astype("<f4").tobytes()).decode("ascii")


def _unpack(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")
