"""Files of any size, plain or compressed, read line by line with bounded memory."""

import bz2
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from cultureclip.errors import SourceDataError
from cultureclip.reading.text import BYTE_ORDER_MARK, RefusedError, check_file

MAX_LINE_BYTES = 16 * 2**20
"""Longest line that is read: some four times the largest entity of Wikidata."""

_BUFFER = 2**20
_COMPRESSED: dict[bytes, Callable[[io.BufferedReader], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open}
"""First bytes of a file -> its reader, whatever the file's name."""
_DAMAGE = (EOFError, OSError, ValueError, zlib.error)


class LineStream:
    """Lines of a UTF-8 text file, plain, gzip or bzip2, each at most ``most`` bytes long.

    Iterating yields the lines with their line ends, as :mod:`csv` wants them. One line is in memory at a time.

    Attributes:
        path: The file.
        number: Number of the line that was read last; the first is 1.
        size: Bytes of the file as it lies on the disk.
        broken: Whether a line read since this was last set to False is not UTF-8.
    """

    def __init__(self, path: Path, most: int = MAX_LINE_BYTES) -> None:
        """Look at the file.

        Raises:
            SourceDataError: if it is missing, empty, not a regular file, or cannot be looked at.
        """
        self.path, self.number, self.broken = path, 0, False
        self._most = most
        self._hash = hashlib.sha256()
        try:
            self.size = check_file(path)
        except (OSError, ValueError) as error:
            raise SourceDataError(path, f"cannot be read ({_cause(error)})", "Give the path of a file") from error
        if not self.size:
            raise SourceDataError(path, "it is empty", "Give the owner's file, or leave the source out")

    @property
    def sha256(self) -> str:
        """Digest of what has been read of the file as it lies on the disk: of all of it after the last line."""
        return self._hash.hexdigest()

    def __iter__(self) -> Iterator[str]:
        """Yield the lines.

        Raises:
            SourceDataError: if a line is too long, or the file cannot be read or unpacked to its end.
        """
        try:
            with self.path.open("rb", buffering=0) as file:
                yield from self._lines(_open(io.BufferedReader(_Hashed(file, self._hash), _BUFFER)))
        except _DAMAGE as error:
            cause = f"cannot be read beyond line {self.number:,} ({_cause(error)})"
            raise SourceDataError(self.path, cause, "Download it again, or check the disk") from error

    def _lines(self, unpacked: BinaryIO) -> Iterator[str]:
        while line := unpacked.readline(self._most + 1):
            self.number += 1
            if len(line) > self._most:
                cause = f"line {self.number:,} is longer than the {self._most:,} bytes that are read"
                raise SourceDataError(self.path, cause, "Is it a text file with one record per line? Split the line")
            try:
                text = line.decode()
            except UnicodeDecodeError:
                self.broken = True
                text = line.decode(errors="replace")
            yield text.removeprefix(BYTE_ORDER_MARK) if self.number == 1 else text


class _Hashed(io.RawIOBase):
    """A file whose bytes are hashed as they are read."""

    def __init__(self, file: io.FileIO, digest: Any) -> None:
        super().__init__()
        self._file, self._digest = file, digest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(buffer) or 0
        self._digest.update(memoryview(buffer)[:count])
        return count


def _open(file: io.BufferedReader) -> Any:
    beginning = file.peek(3)[:3]
    for mark, unpack in _COMPRESSED.items():
        if beginning.startswith(mark):
            return unpack(file)
    return file


def _cause(error: BaseException) -> str:
    if isinstance(error, RefusedError):
        return str(error)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
