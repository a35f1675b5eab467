"""Folders that appear whole or not at all."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cultureclip.engine.atomic import TEMPORARY
from cultureclip.errors import StorageError


@contextmanager
def building(folder: Path) -> Iterator[Path]:
    """Fill a new folder so that there is a whole one in the end, or none.

    Args:
        folder: Must not exist; its parent is made when absent.

    Yields:
        An empty folder of a unique name beside it, to be filled in the block. It is renamed when the block ends, and
        removed when the block fails.

    Raises:
        StorageError: the folder exists, or cannot be made.
    """
    if folder.exists():
        raise StorageError(folder, "exists already", "Name a new folder, or remove this one")
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}{TEMPORARY}")
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        cause = f"cannot be made ({error.strerror or error})"
        raise StorageError(folder, cause, "Name a folder on a disk that you can write to") from error
    try:
        yield temporary
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
