"""New folders that appear complete or not at all."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cultureclip.engine.atomic import replacing
from cultureclip.errors import StorageError


@contextmanager
def building(folder: Path) -> Iterator[Path]:
    """Fill a new folder, completely or not at all.

    Args:
        folder: Must not exist; its parent is created if missing.

    Yields:
        An empty folder of a unique name beside it, to be filled in the block. It is renamed when the block ends, and
        removed when the block fails.

    Raises:
        StorageError: if the folder exists, or cannot be made.
    """
    if folder.exists():
        raise StorageError(folder, "exists already", "Name a new folder, or remove this one")
    with ExitStack() as stack:
        try:
            temporary = stack.enter_context(replacing(folder))
            temporary.mkdir()
        except OSError as error:
            cause = f"cannot be made ({error.strerror or error})"
            remedy = "Name a folder on a disk that you can write to"
            if isinstance(error, (FileExistsError, NotADirectoryError)):  # above it: the temporary name is new
                file = next((above for above in folder.parents if above.exists()), folder.parent)
                cause, remedy = f"cannot be made (Not a directory: {file} is a file)", f"Move {file} elsewhere"
            raise StorageError(folder, cause, remedy) from error
        yield temporary
