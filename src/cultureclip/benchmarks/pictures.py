"""Pictures that stay on disk until they are looked at: 5,000 photographs do not fit in memory."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from cultureclip.errors import SourceDataError
from cultureclip.ids import bytes_digest
from cultureclip.reading.names import find_inside
from cultureclip.reading.pictures import (
    MAX_BYTES,
    MISSING,
    TOO_MANY_BYTES,
    UNREADABLE,
    ImageError,
    decode_image,
    read_picture,
)
from cultureclip.reading.text import RefusedError

OUTSIDE = "picture lies outside the benchmark's folder"


class Encoded(Protocol):
    """Where an image file's bytes lie. Values are small and can be sent to another process."""

    def read(self) -> bytes:
        """Return the bytes.

        Raises:
            ImageError: if there are none, or they may not be read.
        """


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
    """A part of a file: a member of a tar archive that is not compressed."""

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
    """A picture that was found whole: where it lies, its width and its height."""

    where: Encoded
    size: tuple[int, int]


class LazyPictures(Mapping[str, np.ndarray]):
    """SHA-256 of an image file's bytes -> its pixels (uint8 [H, W, 3]), decoded at each access and not kept.

    Args:
        stored: What was found at the intake, by key.
    """

    def __init__(self, stored: Mapping[str, StoredImage]) -> None:
        self.stored = dict(stored)

    def __getitem__(self, key: str) -> np.ndarray:
        """Return pixels of a picture.

        Raises:
            KeyError: it is none of these.
            SourceDataError: its file is gone, or is another one than at the intake.
        """
        where = self.stored[key].where
        try:
            data = where.read()
            if bytes_digest(data) != key:
                raise ImageError("the file has changed since it was listed")
            return np.asarray(decode_image(data))
        except ImageError as error:
            raise SourceDataError(where, str(error), "Leave the files as they are while a run reads them") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self.stored)

    def __len__(self) -> int:
        return len(self.stored)

    def size_of(self, key: str) -> tuple[int, int]:
        """Width and height, known without decoding."""
        return self.stored[key].size

    def only(self, keys: set[str]) -> "LazyPictures":
        """Return the pictures with these keys."""
        return LazyPictures({key: stored for key, stored in self.stored.items() if key in keys})
