"""Pictures that stay on disk until they are needed, because 5,000 photographs do not fit in memory."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import SourceDataError
from cultureclip.ids import bytes_digest
from cultureclip.reading.names import find_inside
from cultureclip.reading.pictures import (
    MAX_BYTES,
    MISSING,
    TOO_MANY_BYTES,
    UNREADABLE,
    Encoded,
    ImageError,
    decode_image,
    read_picture,
)
from cultureclip.reading.stamps import stamp_file
from cultureclip.reading.text import RefusedError

OUTSIDE = "picture lies outside its owner's folder"


class Located(Encoded, Protocol):
    """Location of an image file's bytes, which tells whether they are still those that were read before."""

    def stamp(self) -> str | None:
        """Return a text that other bytes would not have, without reading them; None if only reading can tell."""


@dataclass(frozen=True)
class FileIn:
    """A file named by a benchmark: see :func:`~cultureclip.reading.names.find_inside`."""

    folder: Path
    name: str

    def read(self) -> bytes:
        """Return the file's bytes."""
        if not self.name:
            raise ImageError(MISSING) from ValueError("it has no name")
        try:
            path = find_inside(self.folder, self.name)
        except RefusedError as error:
            raise ImageError(OUTSIDE) from error
        return read_picture(path)

    def stamp(self) -> str | None:
        """Return the file's stamp."""
        try:
            return stamp_file(find_inside(self.folder, self.name)) if self.name else None
        except RefusedError:
            return None


@dataclass(frozen=True)
class Slice:
    """A part of a file: a member of an uncompressed tar archive."""

    path: Path
    offset: int
    size: int

    def read(self) -> bytes:
        """Return the part's bytes."""
        if self.size > MAX_BYTES:
            raise ImageError(TOO_MANY_BYTES) from ValueError(f"{self.size:,} bytes")
        try:
            with self.path.open("rb") as handle:
                handle.seek(self.offset)
                return handle.read(self.size)
        except FileNotFoundError as error:
            raise ImageError(MISSING) from error
        except OSError as error:
            raise ImageError(UNREADABLE) from error

    def stamp(self) -> str | None:
        """Return the archive's stamp with the part's place."""
        archive = stamp_file(self.path)
        return archive and f"{archive}|{self.offset}|{self.size}"


@dataclass(frozen=True)
class StoredImage:
    """A picture that the intake could decode.

    Attributes:
        where: Its location.
        size: Its width and height.
        content: Key of its pixels: :func:`~cultureclip.benchmarks.protocols.items.picture_key`.
    """

    where: Located
    size: tuple[int, int]
    content: str


class LazyPictures(Mapping[str, np.ndarray]):
    """SHA-256 of an image file's bytes -> its pixels (uint8 [H, W, 3]), decoded at each access and not kept.

    Args:
        stored: Pictures found at the intake, by key.
        kept: Where what is found out about pictures is kept; None: nowhere.
    """

    def __init__(self, stored: Mapping[str, StoredImage], kept: KeyedStore | None = None) -> None:
        self.stored, self.kept = dict(stored), kept

    def __getitem__(self, key: str) -> np.ndarray:
        """Return the pixels of a picture.

        Raises:
            KeyError: if there is no such picture.
            SourceDataError: if the picture's file is missing or has changed since the intake.
        """
        where = self.stored[key].where
        try:
            data = where.read()
            if bytes_digest(data) != key:
                raise ImageError("the file has changed since it was listed")
            return np.asarray(decode_image(data))
        except ImageError as error:
            raise SourceDataError(where, str(error), "Do not change the files while a run reads them") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self.stored)

    def __len__(self) -> int:
        return len(self.stored)

    def size_of(self, key: str) -> tuple[int, int]:
        """Return a picture's width and height without decoding it."""
        return self.stored[key].size

    def content_of(self, key: str) -> str:
        """Return the key of a picture's pixels without decoding it."""
        return self.stored[key].content

    def only(self, keys: set[str]) -> "LazyPictures":
        """Return the pictures with these keys."""
        return LazyPictures({key: stored for key, stored in self.stored.items() if key in keys}, self.kept)
