"""Prototypes: a concept's look is the mean of its pictures' embeddings, made in slices and kept by picture and encoder.

Pictures are read one after another. An embedding is kept under the picture's pixels, the views that it is a mean over
and the fingerprint of the encoder, so a rerun embeds new pictures alone, and another encoder finds nothing.
"""

import base64
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from cultureclip.concepts.looks import embed_pictures, read_pictures
from cultureclip.concepts.settings import TwinSettings, View
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.progress import progress_bar
from cultureclip.ids import bytes_digest, digest
from cultureclip.pictures.registry import MOST_STYLES, find_scheme

if TYPE_CHECKING:  # the torch import takes seconds, and only code that embeds needs it
    from cultureclip.models.encoder import ImageTextEncoder

_AT_ONCE = 256
_PHOTOGRAPH_VIEWS = ("left_right",)
"""Views that a picture file may have: nobody sees a house upside down."""


class Seen(NamedTuple):
    """A picture, uint8 [H, W, 3], and the views of it that count beside the upright one."""

    pixels: np.ndarray
    views: tuple[View, ...]


def choose_views(reference: str, kind: str, views: Mapping[str, Sequence[View]]) -> tuple[View, ...]:
    """Return the views of a picture: those of its kind; of a file, which may be a photograph, none that turns it over.

    Args:
        reference: Of a scheme, which is a drawing, or the path of a file.
        kind: Of the concept.
        views: Kind -> views; a kind that is not named has none.
    """
    of_kind = tuple(views.get(kind, ()))
    return of_kind if find_scheme(reference) else tuple(view for view in of_kind if view in _PHOTOGRAPH_VIEWS)


def list_references(
    concepts: pd.DataFrame, sources: pd.DataFrame, most: int, files: Mapping[str, str]
) -> dict[str, list[str]]:
    """Return the pictures of each concept that has any: its reference picture, then fetched ones, each once.

    Args:
        concepts: Table ``concepts``.
        sources: Table ``concept_sources``, whose rows give addresses of pictures.
        most: Pictures of one concept.
        files: Address -> file of a picture that was fetched.

    Returns:
        Concept id -> references, in the order of the concepts.
    """
    fetched: dict[str, list[str]] = defaultdict(list)
    located = sources.loc[sources["picture_url"].notna(), ["concept_id", "picture_url"]]
    for concept, address in located.itertuples(index=False):
        if address in files:
            fetched[concept].append(files[address])
    found = {}
    for concept, own in zip(concepts["concept_id"], concepts["reference_image"], strict=True):
        references = [own] if isinstance(own, str) else []
        if references := list(dict.fromkeys([*references, *fetched.get(concept, [])]))[:most]:
            found[concept] = references
    return found


class PictureReader:
    """Reads the pictures of concepts one after another, and keeps each first one on the disk in all drawing styles.

    Args:
        references: Concept -> its pictures, from :func:`list_references`.
        kind_of: Concept -> kind.
        settings: Size and views.
        folder: Where first pictures are kept.
    """

    def __init__(
        self, references: Mapping[str, Sequence[str]], kind_of: Mapping[str, str], settings: TwinSettings, folder: Path
    ) -> None:
        self._references, self._kind_of, self._settings = references, kind_of, settings
        shape = (len(references), settings.picture_size, settings.picture_size, 3)
        self.styles: list[np.ndarray] = [
            np.lib.format.open_memmap(folder / f"{style}.npy", mode="w+", dtype=np.uint8, shape=shape)
            for style in range(MOST_STYLES)
        ]

    @property
    def concepts(self) -> list[str]:
        """The concept of each picture."""
        return [concept for concept, own in self._references.items() for _ in own]

    def __iter__(self) -> Iterator[Seen]:
        """Yield every picture in its first style, concept by concept."""
        for place, concept in enumerate(progress_bar(self._references, desc="draw concepts")):
            for number, reference in enumerate(self._references[concept]):
                drawn = read_pictures(reference, self._settings.picture_size)
                if number == 0:
                    for style, pixels in zip(self.styles, drawn, strict=True):
                        style[place] = pixels
                yield Seen(drawn[0], choose_views(reference, self._kind_of[concept], self._settings.views))


@dataclass(frozen=True)
class PictureEmbedder:
    """Embeds pictures that the store does not have.

    Attributes:
        judge: Encoder of the pictures.
        store: Gets the embeddings, one slice at a time.
    """

    judge: "ImageTextEncoder"
    store: KeyedStore

    def embed(self, pictures: Iterable[Seen]) -> Iterator[np.ndarray]:
        """Yield the L2-normalised embedding of each picture, float32 [D]; a slice of pictures is in memory at once."""
        remaining = iter(pictures)
        while part := list(islice(remaining, _AT_ONCE)):
            keys = [self._key(seen) for seen in part]
            known = self.store.get(keys)
            if missing := {key: seen for key, seen in zip(keys, part, strict=True) if key not in known}:
                new = self._compute(missing)
                self.store.put(new)
                known |= new
            yield from (_to_vector(known[key]) for key in keys)

    def _compute(self, missing: Mapping[str, Seen]) -> dict[str, str]:
        by_views: dict[tuple[View, ...], list[str]] = defaultdict(list)
        for key, seen in missing.items():
            by_views[seen.views].append(key)
        found: dict[str, str] = {}
        for views, keys in by_views.items():
            vectors = embed_pictures(self.judge, np.stack([missing[key].pixels for key in keys]), views)
            found |= {key: _to_text(vector) for key, vector in zip(keys, vectors, strict=True)}
        return found

    def _key(self, seen: Seen) -> str:
        pixels = bytes_digest(np.ascontiguousarray(seen.pixels).tobytes())
        return digest("look", pixels, seen.pixels.shape, sorted(seen.views), self.judge.fingerprint)


def see(pictures: Iterable[Image.Image], size: int) -> Iterator[Seen]:
    """Yield generated pictures as they are, which are as upright as photographs."""
    for picture in pictures:
        yield Seen(np.asarray(ImageOps.pad(picture.convert("RGB"), (size, size), Image.Resampling.LANCZOS)), ())


def average_looks(concepts: Iterable[str], vectors: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """Return each concept's look: the normalised mean of its pictures' embeddings.

    Args:
        concepts: Concept of each picture.
        vectors: L2-normalised embeddings of the pictures, in the same order.

    Returns:
        Concept -> float32 [D].
    """
    sums: dict[str, np.ndarray] = {}
    for concept, vector in zip(concepts, vectors, strict=True):
        sums[concept] = sums[concept] + vector if concept in sums else vector
    return {concept: (total / np.linalg.norm(total)).astype(np.float32) for concept, total in sums.items()}


def _to_text(vector: np.ndarray) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _to_vector(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4").astype(np.float32)
