"""Free space of the file systems that a run writes to, against what it is planned to write."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cultureclip.readiness.finding import Finding

GB = 1e9


@dataclass(frozen=True)
class FileSystem:
    """A file system that folders of the catalog are on.

    Attributes:
        place: The folder that they have in common.
        datasets: Names of the datasets that are written there.
        free: Free bytes.
        planned: Bytes that are planned, by dataset, as far as they are known.
    """

    place: Path
    datasets: tuple[str, ...]
    free: int
    planned: Mapping[str, float]

    @property
    def needed(self) -> float:
        """Bytes that are planned, as far as they are known."""
        return sum(self.planned.values())


def list_file_systems(folders: Mapping[str, Path], planned: Mapping[str, float]) -> list[FileSystem]:
    """List the file systems of folders.

    Args:
        folders: Where datasets are written, by name; a folder need not exist.
        planned: Bytes that some of them will take.
    """
    of_device: dict[int, list[str]] = {}
    for name, folder in folders.items():
        of_device.setdefault(_existing(folder).stat().st_dev, []).append(name)
    found = []
    for names in of_device.values():
        known = {name: planned[name] for name in names if name in planned}
        place = Path(os.path.commonpath([folders[name].absolute() for name in names]))
        free = shutil.disk_usage(_existing(place)).free
        found.append(FileSystem(place, tuple(names), free, known))
    return found


def find_too_full(systems: Sequence[FileSystem]) -> Iterator[Finding]:
    """Find file systems with less free space than is planned."""
    for system in systems:
        if system.needed > system.free:
            what = f"{system.free / GB:,.1f} GB are free, {system.needed / GB:,.1f} GB are planned"
            remedy = "Free space, or set the root data in conf/local/globals.yml to a larger disk"
            yield Finding(f"disk of {system.place}", what, remedy)


def size_of(folder: Path | None) -> int:
    """Return the bytes of the files in a folder; 0 if there is none."""
    if folder is None or not folder.is_dir():
        return 0
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    absolute = folder.absolute()
    return next(path for path in (absolute, *absolute.parents) if path.exists())
