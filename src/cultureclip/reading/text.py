"""Text from outside: UTF-8, bounded in size, lines that end at a line feed, and one Unicode form."""

import os
import stat
import unicodedata
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

Value = TypeVar("Value")

BYTE_ORDER_MARK = "\ufeff"
MAX_CONFIG_BYTES = 128 * 2**20
"""Largest config, card or record that is read: about four times the longest tokenizer.json in use."""
MAX_DATA_BYTES = 2**30
"""Largest table or list of annotations that is read: about seven times COCO's captions."""

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class RefusedError(ValueError):
    """Why something from outside cannot be used. The caller names the item and the remedy."""


def normalise(value: Value) -> Value:
    """Put every text in a value into Unicode's composed form (NFC), so that equal names are equal strings.

    Args:
        value: A text; or lists, tuples, mappings and dataclasses of texts, at any depth.

    Returns:
        A value of the same kind. Values other than text are unchanged.
    """
    normal: Value = _normalise(value)
    return normal


def _normalise(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else unicodedata.normalize("NFC", value)
    if isinstance(value, list | tuple):
        return type(value)(map(_normalise, value))
    if isinstance(value, Mapping):
        return {_normalise(key): _normalise(inner) for key, inner in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: _normalise(getattr(value, field.name)) for field in fields(value)})
    return value


def split_lines(text: str) -> list[str]:
    """Return the lines of a text. A line ends at a line feed, and a carriage return before it belongs to the end.

    ``str.splitlines`` also breaks at U+2028, U+0085, form feeds and others, which stand inside names and captions.
    """
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def check_file(path: Path) -> int:
    """Make sure that a path names a regular file, or a link to one, without opening it: a pipe would wait for ever.

    Returns:
        Its size in bytes.

    Raises:
        OSError: if it is not there or cannot be looked at.
        RefusedError: if it is not a regular file, or a link to nothing.
    """
    try:
        found = path.stat()
    except OSError as error:
        if os.path.islink(path):  # noqa: PTH114 - Path.is_symlink raises where a name is too long
            raise RefusedError("a symbolic link whose target is missing") from error
        raise
    if not stat.S_ISREG(found.st_mode):
        raise RefusedError(f"{_KINDS.get(stat.S_IFMT(found.st_mode), 'something else')}, not a regular file")
    return found.st_size


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the error's type if there is no message."""
    return str(error).split("\n")[0].strip() or type(error).__name__


def read_bytes(path: Path, most: int = MAX_CONFIG_BYTES) -> bytes:
    """Read a whole file, if it is a regular file of at most ``most`` bytes.

    Raises:
        OSError: see :func:`check_file`; or if it cannot be read.
        RefusedError: see :func:`check_file`; or if it is larger. Nothing was read then.
    """
    size = check_file(path)
    if size > most:
        raise RefusedError(f"{size:,} bytes, more than the {most:,} that are read")
    return path.read_bytes()


def decode(content: bytes) -> str:
    """Return text in UTF-8, without a byte order mark.

    Raises:
        RefusedError: if it is not UTF-8.
    """
    try:
        return content.decode("utf-8").removeprefix(BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        raise RefusedError(f"not UTF-8 (byte {error.start:,}: {error.reason})") from error


def read_lines(path: Path, most: int = MAX_CONFIG_BYTES) -> list[str]:
    """Return the lines of a text file in UTF-8.

    Raises:
        OSError: see :func:`read_bytes`.
        RefusedError: see :func:`read_bytes` and :func:`decode`.
    """
    return split_lines(decode(read_bytes(path, most)))
