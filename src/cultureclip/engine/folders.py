"""New folders that appear whole or not at all."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cultureclip.engine.atomic import replacing
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
        StorageError: if the folder exists, or cannot be made.
    """
    if folder.exists():
        raise StorageError(folder, "exists already", "Name a new folder, or remove this one")
    with ExitStack() as stack:
        try:
            temporary = stack.enter_context(replacing(folder))
            temporary.mkdir()
        except OSError as error:
            # the temporary name is new, so what "exists" is a file in place of a folder above it
            why = "Not a directory" if isinstance(error, FileExistsError) else error.strerror or error
            cause = f"cannot be made ({why})"
            raise StorageError(folder, cause, "Name a folder on a disk that you can write to") from error
        yield temporary
