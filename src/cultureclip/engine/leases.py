"""The leases of a journal, which a shared folder and an object store keep in different ways.

A shared folder has files that one process alone can create, and that grow. An object store has neither. It has a put
that fails if the object exists (``If-None-Match: *``), by which one creator wins. An object does not grow, so signs of
life are an object of their own, written again with a byte more.
"""

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cultureclip.engine.files import is_remote

if TYPE_CHECKING:
    from upath import UPath

_SIGNS = "signs"
"""Folder of the signs of life beside the folder of leases, in an object store."""


def create(path: Path, content: bytes) -> bool:
    """Create a file that does not exist; False if it does. Of several creators, on any machines, one wins.

    Raises:
        OSError: if it cannot be written. Nothing is left then.
    """
    try:
        if is_remote(path):
            path.fs.pipe_file(path.path, content, mode="create")
            return True
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return False
    except OSError as error:
        # 409 says that another creator is at it; not every store says of a failed condition which one it was
        if is_remote(path) and (error.errno == errno.EBUSY or path.exists()):
            return False
        raise
    try:
        os.write(descriptor, content)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    return True


def beat(path: Path) -> bool:
    """Give a sign of life for a file from :func:`create`; False if the file is gone.

    A sign that cannot be written is left out: its giver looks silent, which at worst does work twice.
    """
    if is_remote(path):
        with suppress(OSError):
            if not path.exists():
                return False
            path.fs.pipe_file(_signs(path).path, b"." * ((count_life(path) or 0) + 1))
        return True
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    except FileNotFoundError:
        return False
    with suppress(OSError):
        os.write(descriptor, b".")
    os.close(descriptor)
    return True


def count_life(path: "Path | UPath") -> int | None:
    """Return a number that grows with every sign of life; None if the file is gone."""
    if is_remote(path):
        with suppress(FileNotFoundError):
            return int(_signs(path).stat().st_size)
        return 0 if path.exists() else None
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return None


def remove(path: Path) -> None:
    """Remove a file and its signs of life, if it is there."""
    if is_remote(path):
        for place in (path, _signs(path)):
            with suppress(FileNotFoundError):
                place.fs.rm_file(place.path)
    else:
        path.unlink(missing_ok=True)


def _signs(path: "UPath") -> "UPath":
    return path.parent.parent / _SIGNS / path.name
