"""Pictures that stay on disk until they are needed, because 5,000 photographs do not fit in memory."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

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
from cultureclip.reading.text import RefusedError

OUTSIDE = "picture lies outside its owner's folder"


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


@dataclass(frozen=True)
class StoredImage:
    """Location, width and height of a picture that the intake could decode."""

    where: Encoded
    size: tuple[int, int]


class LazyPictures(Mapping[str, np.ndarray]):
    """SHA-256 of an image file's bytes -> its pixels (uint8 [H, W, 3]), decoded at each access and not kept.

    Args:
        stored: Pictures found at the intake, by key.
    """

    def __init__(self, stored: Mapping[str, StoredImage]) -> None:
        self.stored = dict(stored)

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

    def only(self, keys: set[str]) -> "LazyPictures":
        """Return the pictures with these keys."""
        return LazyPictures({key: stored for key, stored in self.stored.items() if key in keys})
