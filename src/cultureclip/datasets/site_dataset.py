"""A site of static pages, or any folder, as a versioned Kedro dataset: it is there whole or not at all."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from kedro.io.core import AbstractVersionedDataset, Version, VersionNotFoundError

from cultureclip.engine.folders import building

ENTRY = "index.html"
"""The page by which a site is entered."""


class SiteFiles(Protocol):
    """Something that can be written as a folder of files."""

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Every file as (path below the folder, content); the dataset's entry is among them."""


class SiteDataset(AbstractVersionedDataset[SiteFiles, Path]):
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
        super().__init__(
            PurePosixPath(Path(filepath).as_posix()),
            version,
            exists_function=lambda path: (Path(path) / entry).is_file(),
        )

    def load(self) -> Path:
        """Path of the entry."""
        return Path(self._get_load_path()) / self.entry

    def save(self, data: SiteFiles) -> None:
        """Write all files; the folder gets its name when the disk has everything.

        Raises:
            StorageError: there is such a folder already.
        """
        with building(Path(self._get_save_path())) as folder:
            for name, content in data.files():
                file = folder / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            os.sync()  # thousands of files: one call for all

    def _exists(self) -> bool:
        try:
            return self.load().is_file()
        except VersionNotFoundError:
            return False

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}
