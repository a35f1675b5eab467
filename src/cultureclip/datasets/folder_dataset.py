"""A folder that its content writes itself, such as an exported model, as a versioned Kedro dataset."""

from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from kedro.io.core import AbstractVersionedDataset, Version

from cultureclip.datasets.versions import WholeVersions


class WritesFolder(Protocol):
    """Something that writes a folder, also files that do not fit into memory."""

    def write(self, folder: Path) -> None:
        """Write a folder that does not exist yet."""


class FolderDataset(WholeVersions, AbstractVersionedDataset[WritesFolder, Path]):
    """Saves a folder and loads its path.

    Args:
        filepath: The folder; with versions, the folder that holds one folder per version.
        entry: File in it without which it is damaged.
        version: Version to load or save.
        metadata: Ignored here; for kedro-viz.
    """

    def __init__(
        self, *, filepath: str, entry: str, version: Version | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        self.metadata, self.entry = metadata, entry
        super().__init__(PurePosixPath(Path(filepath).as_posix()), version)

    def load(self) -> Path:
        """Return the folder's path."""
        return Path(self._get_load_path())

    def _write(self, data: WritesFolder, path: Path) -> None:
        data.write(path)

    def _inspect(self, path: Path) -> None:
        if not (path / self.entry).stat().st_size:
            raise ValueError(f"{self.entry} in it is empty")

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}
