"""Files that appear whole or not at all."""

import os
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TEMPORARY = ".tmp"
"""Suffix of a file that is still being written."""
_ABANDONED_AFTER_S = 3600.0


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file so that a reader sees the old content or the new one, never half, even after a power cut.

    Args:
        path: The file; its folder is made when absent.

    Yields:
        A path of a unique name beside it, to be written in the block. It takes ``path``'s place when the block ends,
        and is removed when the block, or the disk, fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}{TEMPORARY}")
    try:
        yield temporary
        _flush_to_disk(temporary)
        temporary.replace(path)
        _flush_to_disk(path.parent)  # the new name
    finally:
        temporary.unlink(missing_ok=True)


def remove_abandoned(temporaries: Iterable[Path]) -> None:
    """Delete temporary files that a killed writer left behind: those that nobody has written to for an hour."""
    for path in temporaries:
        with suppress(FileNotFoundError):  # a writer at work may rename it meanwhile
            if time.time() - path.stat().st_mtime > _ABANDONED_AFTER_S:
                path.unlink()


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
