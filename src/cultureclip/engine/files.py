"""Files of a folder on a disk, or of a place in an object store.

An object store is reached by fsspec (``s3://bucket/place``). Its objects are there whole or not at all, so one put does
what writing beside and renaming do on a disk. It has no folders, only names that begin alike.
"""

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from cultureclip.engine.atomic import replacing
from cultureclip.errors import ConfigurationError

if TYPE_CHECKING:
    from upath import UPath

_ON_DISK = ("file", "local")


def open_place(address: str | Path) -> Path:
    """Return the path of a folder; of an address with a protocol one that behaves like a path.

    Raises:
        ConfigurationError: if there is no such protocol, or packages for it are missing.
    """
    if "://" not in str(address):
        return Path(address)
    try:
        from upath import UPath

        opened: Any = UPath(str(address), use_listings_cache=False)  # others write there, too
        opened.fs.protocol  # noqa: B018 - opening it shows which packages are missing
    except (ImportError, ValueError) as error:
        remedy = "pip install 'cultureclip[remote]', or name a folder"
        raise ConfigurationError(address, f"cannot be opened ({error})", remedy) from error
    return Path(opened.path) if opened.protocol in _ON_DISK else opened


def is_remote(path: "Path | UPath") -> "TypeGuard[UPath]":
    """Tell whether a path is one of an object store."""
    return not isinstance(path, Path)


def read(path: Path) -> bytes | None:
    """Return a file's content; None if it is not there.

    Raises:
        OSError: if it cannot be read; so also raised by all others.
    """
    with suppress(FileNotFoundError):
        if not is_remote(path):
            return path.read_bytes()
        with reaching():
            return bytes(path.fs.cat_file(path.path))
    return None


def write(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all, in the place of one that may be there."""
    if is_remote(path):
        with reaching():
            path.fs.pipe_file(path.path, content)
        return
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def remove(path: Path) -> None:
    """Remove a file, if it is there."""
    if not is_remote(path):
        path.unlink(missing_ok=True)
        return
    with suppress(FileNotFoundError), reaching():
        path.fs.rm_file(path.path)


def move(path: Path, target: Path) -> None:
    """Give a file another name, if it is there. In an object store it has both names for a while."""
    with suppress(FileNotFoundError):
        if not is_remote(path):
            path.replace(target)
            return
        with reaching():
            path.fs.cp_file(path.path, str(target.path))  # type: ignore[attr-defined]
            path.fs.rm_file(path.path)


def make_folder(folder: Path) -> None:
    """Make a folder, with those above it; an object store has none."""
    if not is_remote(folder):
        folder.mkdir(parents=True, exist_ok=True)


def list_names(folder: Path) -> list[str]:
    """Return the names of the files in a folder, which need not exist."""
    if is_remote(folder):
        return [_name(entry) for entry in _list(folder) if entry["type"] == "file"]
    with suppress(FileNotFoundError):
        return [path.name for path in folder.iterdir()]
    return []


def list_sizes(folder: Path) -> dict[str, int]:
    """Return the names of the files in a folder, which need not exist, and their lengths in bytes."""
    if is_remote(folder):
        return {_name(entry): int(entry["size"]) for entry in _list(folder) if entry["type"] == "file"}
    found = {}
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # it was just removed
                found[entry.name] = entry.stat().st_size
    return found


def list_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, which need not exist, in the order of their names."""
    if is_remote(folder):
        found: list[Any] = [folder / _name(entry) for entry in _list(folder) if entry["type"] == "directory"]
        return sorted(found)
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def changed_ns(folder: Path) -> int | None:
    """Return when a name in a folder last came or went, in nanoseconds; an object store does not know it."""
    return None if is_remote(folder) else folder.stat().st_mtime_ns


def written_s(path: Path) -> float:
    """Return when a file was written, in seconds since 1970, by the clock of whoever keeps it."""
    if not is_remote(path):
        return path.stat().st_mtime
    with reaching():
        return float(path.stat().st_mtime)


def source(path: Path) -> Any:
    """Return what readers of parquet take: the path, or an object that fetches the ranges that they read."""
    return _Ranges(path) if is_remote(path) else path


@contextmanager
def reaching() -> Iterator[None]:
    """Give every error of an object store a number, as those of a disk have: without one it passes for damage.

    Raises:
        FileNotFoundError: if there is no such object.
        OSError: if the store cannot be reached, or refuses.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:  # each store's client has errors of its own
        known = getattr(error, "errno", None)
        number = known or (errno.EACCES if isinstance(error, PermissionError) else errno.EIO)
        raise OSError(number, str(error)) from error


class _Ranges(io.RawIOBase):
    """An object, of which only what is read is fetched."""

    def __init__(self, path: "UPath") -> None:
        super().__init__()
        self._path, self._at = path, 0
        with reaching():
            self._size = int(path.stat().st_size)

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be read from any place."""
        return True

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, counted from the start, from here or from the end."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fetch as many bytes as fit; 0 at the end."""
        end = min(self._at + len(buffer), self._size)
        if end <= self._at:
            return 0
        with reaching():
            content: bytes = self._path.fs.cat_file(self._path.path, start=self._at, end=end)
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)


def _list(folder: "UPath") -> list[dict[str, Any]]:
    with suppress(FileNotFoundError), reaching():
        found: list[dict[str, Any]] = folder.fs.ls(folder.path, detail=True)
        return [entry for entry in found if _name(entry)]
    return []


def _name(entry: dict[str, Any]) -> str:
    return str(entry["name"]).rstrip("/").rpartition("/")[2]
