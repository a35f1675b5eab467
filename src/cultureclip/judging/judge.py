"""The judge: an image-text encoder whose embeddings are cached by the key of their inputs."""

import base64
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
from PIL import Image

from cultureclip.engine.job import Job, Slice, slice_name
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.progress import progress_bar
from cultureclip.engine.run import SharedWork
from cultureclip.engine.settings import HERE, EngineSettings
from cultureclip.ids import Digester, digest
from cultureclip.images.source import ImageSource
from cultureclip.judging.duplicates import look_of
from cultureclip.judging.read import read_images
from cultureclip.judging.settings import JudgeSettings
from cultureclip.models.encoder import ImageTextEncoder, load_encoder
from cultureclip.models.memory import halve_until_it_fits
from cultureclip.models.weights.fingerprint import fingerprint
from cultureclip.models.weights.locate import locate
from cultureclip.settings_base import Device

logger = logging.getLogger(__name__)


class Judge:
    """Embeds each image and text once: results are stored under (weights, item).

    The weights are loaded when the first item is not in the store, so an unchanged run loads no model.

    Args:
        settings: Which model judges, and how.
        store: Cache of the embeddings.
        engine: Where images are embedded, and shared with whom.

    Raises:
        WeightsError: if the directory or a file in it is missing.
    """

    def __init__(self, settings: JudgeSettings, store: KeyedStore, engine: EngineSettings = HERE) -> None:
        self.path, self.device, self.store = locate(settings.judge), settings.device, store
        self.batch, self.engine = settings.batch, engine
        self.fingerprint = fingerprint(self.path)
        self._keys = {kind: Digester(["judge", self.fingerprint, kind]) for kind in ("image", "text")}

    def __getstate__(self) -> dict[str, Any]:
        """Leave the model out: another process loads its own."""
        return {name: value for name, value in vars(self).items() if name != "encoder"}

    @cached_property
    def encoder(self) -> ImageTextEncoder:
        """The model, loaded at first use."""
        logger.debug("Loading the judge from %s", self.path)
        return load_encoder(self.path, self.device)

    def _key(self, kind: Literal["image", "text"], item: str) -> str:
        return self._keys[kind](item)

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
        """Embed images and note their looks; all of these are in memory, see :meth:`embed_images` for many images.

        Args:
            images: Store of the images; every id must be there.
            ids: Images wanted.

        Returns:
            See :meth:`read_looks`. An image that cannot be read is absent, and is tried again in the next run.

        Raises:
            StorageError: if the disk fails, which says nothing about the images.
        """
        return self.read_looks(sorted(self.embed_images(images, ids)))

    def embed_images(self, images: ImageSource, ids: Iterable[str]) -> set[str]:
        """Embed the images that were not embedded before, and keep their looks.

        Args:
            images: Store of the images; every id must be there.
            ids: Images wanted.

        Returns:
            The images whose looks are kept. One that cannot be read is absent, and is tried again in the next run.

        Raises:
            StorageError: if the disk fails, which says nothing about the images.
        """
        every = sorted(set(ids))  # neighbours share a shard
        keys = [self._key("image", identifier) for identifier in every]
        work = SharedWork(self.engine, "judge_images", digest("look", keys, self.batch))
        kept = self.store.find(keys)
        missing = {identifier for identifier, key in zip(every, keys, strict=True) if key not in kept}
        logger.debug("The judge reads %d images, %d are judged already", len(missing), len(keys) - len(missing))
        slices = []
        for start in range(0, len(every) if missing else 0, self.batch):
            cut = every[start : start + self.batch]
            if lacking := tuple(identifier for identifier in cut if identifier in missing):
                slices.append(Slice(slice_name(cut), lacking, len(lacking)))
        job = Job("images", slices, partial(_Look, self, images), (__name__, "cultureclip.models.encoder"))
        with progress_bar(total=len(missing), desc="judge images", disable=not missing) as bar:
            for looked in work.run(job):
                bar.update(looked)
        if missing:
            kept = self.store.find(keys)
        return {identifier for identifier, key in zip(every, keys, strict=True) if key in kept}

    def read_looks(self, ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Read the looks of embedded images from the store.

        Returns:
            image_id -> embedding (float32 [D]), ``phash``, ``colour`` (hex, see :func:`look_of`) and the ``batch``
            size used, in the order of ``ids``.
        """
        keys = {identifier: self._key("image", identifier) for identifier in ids}
        kept = self.store.get(keys.values())
        return {i: {**kept[key], "embedding": _unpack(kept[key])} for i, key in keys.items() if key in kept}

    def look_at_slice(self, images: ImageSource, ids: Sequence[str]) -> None:
        """Embed some images at once, and keep their looks."""
        self.store.put(self._answer(images, ids))

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


@dataclass(frozen=True)
class _Look:
    """Looks at slices of images; in another process with a copy of the judge, on a device of its own."""

    judge: Judge
    images: ImageSource
    device: Device | None

    def __post_init__(self) -> None:
        if self.device is not None:
            self.judge.device = self.device

    def __call__(self, ids: Sequence[str]) -> Iterator[int]:
        """Look at the images of a slice; yields their number."""
        self.judge.look_at_slice(self.images, ids)
        yield len(ids)


def _pack(embedding: np.ndarray) -> str:
    return base64.b64encode(embedding.astype("<f4").tobytes()).decode()


def _unpack(answer: Mapping[str, Any]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(answer["embedding"]), "<f4")
