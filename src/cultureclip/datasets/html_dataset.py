"""A self-contained HTML page as a versioned Kedro dataset, written atomically."""

import glob
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io.core import AbstractVersionedDataset, Version, VersionNotFoundError

from cultureclip.engine.atomic import replacing


class HTMLDataset(AbstractVersionedDataset[str, str]):
    """One UTF-8 HTML file; a reader sees the old page or the new one, never half of one.

    Args:
        filepath: Path of the file; with versions, of the folder that holds one folder a version.
        version: Which version to load and save.
        metadata: Ignored here; for kedro-viz.
    """

    def __init__(
        self, *, filepath: str, version: Version | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        self.metadata = metadata
        super().__init__(PurePosixPath(filepath), version, exists_function=_exists, glob_function=_find)

    def load(self) -> str:
        """The page's text."""
        return Path(self._get_load_path()).read_text(encoding="utf-8")

    def save(self, data: str) -> None:
        """Write the page."""
        with replacing(Path(self._get_save_path())) as temporary:
            # A lone surrogate in hostile text cannot be written as UTF-8: it becomes a question mark.
            temporary.write_bytes(data.encode("utf-8", "replace"))

    def _exists(self) -> bool:
        try:
            return Path(self._get_load_path()).is_file()
        except VersionNotFoundError:
            return False

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}


def _exists(path: str) -> bool:
    return Path(path).is_file()


def _find(pattern: str) -> list[str]:
    """Paths that match an absolute or relative glob pattern."""
    return glob.glob(pattern)  # noqa: PTH207 (Kedro hands over a whole pattern, absolute or not)
