"""A site of static pages, or any folder, as a versioned Kedro dataset."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from kedro.io.core import AbstractVersionedDataset, Version

from cultureclip.datasets.versions import WholeVersions

ENTRY = "index.html"
"""The page by which a site is entered."""


class SiteFiles(Protocol):
    """Something that can be written as a folder of files."""

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Every file as (path below the folder, content); the dataset's entry is among them."""


class SiteDataset(WholeVersions, AbstractVersionedDataset[SiteFiles, Path]):
    """Saves a site file by file, however large, and loads the path of its entry.

    Args:
        filepath: Folder of the site; with versions, of the folder that holds one folder a version.
        version: Which version to load and save.
        entry: The file by which the folder is entered.
        metadata: Ignored here; for kedro-viz.
    """

    def __init__(
        self,
        *,
        filepath: str,
        version: Version | None = None,
        entry: str = ENTRY,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.metadata, self.entry = metadata, entry
        super().__init__(PurePosixPath(Path(filepath).as_posix()), version)

    def load(self) -> Path:
        """Path of the entry."""
        return Path(self._get_load_path()) / self.entry

    def _write(self, data: SiteFiles, path: Path) -> None:
        for name, content in data.files():
            file = path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)

    def _inspect(self, path: Path) -> None:
        if not (path / self.entry).stat().st_size:
            raise ValueError(f"{self.entry} in it is empty")

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}
