"""Files and folders that appear complete or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cultureclip.engine.temporary import remove, sweep, temporary_beside

_SINGLY = 64
"""Most files that are flushed one by one; for more, one call for the whole system is faster."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file or folder so that readers see the old or the new content, never a part, even after a power cut.

    Args:
        path: The file, or a folder that does not exist yet; its parent is made when absent. What killed writers left
            in the parent is removed.

    Yields:
        A path of a unique name beside it, to be written in the block. It takes ``path``'s place when the block ends,
        and is removed when the block, or the disk, fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    temporary = temporary_beside(path)
    try:
        yield temporary
        _flush_all(temporary)
        temporary.replace(path)
        _flush(path.parent)  # the new name
    finally:
        remove(temporary)


def _flush_all(path: Path) -> None:
    inside = list(path.rglob("*")) if path.is_dir() else []
    if len(inside) > _SINGLY:
        os.sync()
        return
    for part in (*inside, path):
        _flush(part)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
