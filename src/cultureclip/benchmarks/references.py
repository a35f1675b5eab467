"""The held-out pictures that concepts name as their ``reference_image``: emoji drawings or a user's own files."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from cultureclip.benchmarks.protocols.items import picture_key
from cultureclip.concepts.looks import open_image
from cultureclip.concepts.named_pictures import NamedPictures
from cultureclip.errors import SourceDataError
from cultureclip.pictures.emoji import EMOJI, Style, render

HELD_OUT_STYLE: Style = "twemoji"


class References(Mapping[str, np.ndarray]):
    """Key -> pixels (uint8), read at each access because photographs need not fit in memory; drawings are cached.

    Args:
        named: Key -> what :func:`read_reference` reads.
        edge: Edge of a drawing in pixels.
    """

    def __init__(self, named: Mapping[str, str], edge: int) -> None:
        self.named, self.edge = dict(named), edge

    def __getitem__(self, key: str) -> np.ndarray:
        """Return the pixels of a picture.

        Raises:
            KeyError: if there is no such picture.
            SourceDataError: see :func:`read_reference`.
        """
        return read_reference(self.named[key], self.edge)

    def __iter__(self) -> Iterator[str]:
        return iter(self.named)

    def __len__(self) -> int:
        return len(self.named)


class ReferencesByContent(References):
    """References under the key that benchmarks use: :func:`~cultureclip.benchmarks.protocols.items.picture_key`."""

    def __getitem__(self, key: str) -> np.ndarray:
        """Return the pixels of a picture.

        Raises:
            KeyError: if there is no such picture.
            SourceDataError: see :func:`read_reference`; also if the file has changed since it got its key.
        """
        pixels = super().__getitem__(key)
        if picture_key(pixels) != key:
            remedy = "Do not change the files while a run reads them"
            raise SourceDataError(self.named[key], "the file has changed since it was listed", remedy)
        return pixels

    def only(self, keys: set[str]) -> "ReferencesByContent":
        """Return the pictures with these keys."""
        return ReferencesByContent({key: named for key, named in self.named.items() if key in keys}, self.edge)


def read_reference(reference: str, edge: int) -> np.ndarray:
    """Read the picture that a concept's ``reference_image`` names: ``emoji:<char>`` or an image file.

    Returns:
        uint8 [edge, edge, 3] for an emoji, [H, W, 3] for a file.

    Raises:
        SourceDataError: if there is no such drawing, or the file is missing or is not an image.
    """
    if what := EMOJI.find([reference]):
        return render(what.pop(), HELD_OUT_STYLE, edge)
    return np.asarray(open_image(reference))


def read_references(concepts: pd.DataFrame, edge: int) -> References:
    """Return the held-out pictures by concept id; concepts without a picture are absent."""
    return References(_name_references(concepts), edge)


def name_references(concepts: pd.DataFrame, edge: int) -> NamedPictures:
    """Return the pictures of :func:`read_references` as a source of pictures, whose checksums cost no decoding."""
    named = _name_references(concepts).items()
    styled = {concept: EMOJI.find([reference]) for concept, reference in named}
    pictures = {c: f"{HELD_OUT_STYLE}:{styled[c].pop()}" if styled[c] else reference for c, reference in named}
    return NamedPictures(pictures, edge)


def _name_references(concepts: pd.DataFrame) -> dict[str, str]:
    named = concepts.dropna(subset=["reference_image"])
    references = zip(named["concept_id"], named["reference_image"], strict=True)
    return {concept: reference for concept, reference in references if reference}
