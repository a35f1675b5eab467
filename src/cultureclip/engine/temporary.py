"""Names of files that are being written, and the removal of files that killed writers left behind."""

import os
import platform
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import gettempdir
from uuid import uuid4

from cultureclip.ids import digest

TEMPORARY = ".tmp"
"""Suffix of a file or folder that is still being written."""
_NAME = re.compile(r"\.(?P<name>.+)\.(?P<place>[0-9a-f]{12})-(?P<process>\d+)-[0-9a-f]{12}" + re.escape(TEMPORARY))
_UNTOUCHED_FOR_S = 3600.0


def temporary_beside(path: Path) -> Path:
    """Name a hidden file or folder beside a path, to be written and then renamed.

    The name says which process writes it: that tells a leftover from work in progress.
    """
    return path.with_name(f".{path.name}.{process_scope()}-{os.getpid()}-{uuid4().hex[:12]}{TEMPORARY}")


def is_temporary(name: str) -> bool:
    """Tell whether a file or folder of this name is still being written, or is a leftover."""
    return name.startswith(".") and name.endswith(TEMPORARY)


def sweep(folder: Path, start: str = "") -> None:
    """Remove temporary files and folders whose writer is dead. Running writers lose nothing.

    A writer on this machine is looked up by its process id. A writer on another machine that shares the disk counts as
    dead when nothing that it writes has changed for an hour.

    Args:
        folder: Folder to search; folders in it are not entered.
        start: Only names that begin with a dot and this.
    """
    with suppress(FileNotFoundError, PermissionError), os.scandir(folder) as entries:
        for entry in entries:
            if is_temporary(entry.name) and entry.name.startswith(f".{start}") and _is_abandoned(Path(entry)):
                remove(Path(entry))


def at_work(folder: Path) -> dict[str, int]:
    """Find the unfinished files of a folder: the final name of each, and the id of the process that writes it."""
    names = [_NAME.fullmatch(path.name) for path in folder.glob(f".*{TEMPORARY}") if not _is_abandoned(path)]
    return {name["name"]: int(name["process"]) for name in names if name}


def remove(path: Path) -> None:
    """Remove a file or a folder as far as that is possible; it need not exist."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


@contextmanager
def scratch_folder(place: Path | None = None) -> Iterator[Path]:
    """Give a folder for the block, and remove the folders of killed runs.

    Args:
        place: Path beside which it lies, with this path's name as the beginning of its own. None: in the system's
            temporary directory.
    """
    place = place or Path(gettempdir()) / "cultureclip"
    place.parent.mkdir(parents=True, exist_ok=True)
    sweep(place.parent, f"{place.name}.")
    folder = temporary_beside(place)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        remove(folder)


@cache
def process_scope() -> str:
    """Return the digest of the running kernel and its namespace of processes, the scope of a process id."""
    known = [platform.node()]
    with suppress(OSError):  # Linux only
        known.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
        known.append(str(Path("/proc/self/ns/pid").readlink()))
    return digest("place", *known)[:12]


def _is_abandoned(path: Path) -> bool:
    name = _NAME.fullmatch(path.name)
    if name is not None and name["place"] == process_scope():
        from psutil import pid_exists

        return not pid_exists(int(name["process"]))
    try:
        changed = max(part.lstat().st_mtime for part in (path, *path.rglob("*")))
    except FileNotFoundError:  # it was just renamed
        return False
    return time.time() - changed > _UNTOUCHED_FOR_S
