"""A site of static pages, or any folder, as a versioned Kedro dataset."""

from collections.abc import Iterator
from copy import copy
from html import escape
from pathlib import Path, PurePosixPath
from typing import Any, Protocol
from urllib.parse import quote

from kedro.io.core import AbstractVersionedDataset, Version

from cultureclip.datasets.versions import WholeVersions, explaining
from cultureclip.engine.atomic import replacing

ENTRY = "index.html"
"""The page by which a site is entered."""
LATEST = "latest"
"""Folder beside the versions of a site, with one page that leads to the newest version."""
_REDIRECT = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="refresh" content="0; url={url}">
<title>Newest version</title>
<p><a href="{url}">Open version {version}</a></p>
</html>
"""


class SiteFiles(Protocol):
    """Something that can be written as a folder of files."""

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Return every file as (path below the folder, content); the dataset's entry is among them."""


class SiteDataset(WholeVersions, AbstractVersionedDataset[SiteFiles, Path]):
    """Saves a site file by file, however large, and loads the path of its entry.

    Args:
        filepath: Folder of the site; with versions, of the folder that holds one folder per version.
        version: Which version to load and save.
        entry: The file by which the folder is entered.
        has_latest: Whether a save leaves ``<filepath>/latest/index.html``, which opens the newest whole version. The
            versioned dataset does not take that folder for a version: it holds no folder of the site's name.
        metadata: Ignored here; for kedro-viz.
    """

    def __init__(
        self,
        *,
        filepath: str,
        version: Version | None = None,
        entry: str = ENTRY,
        has_latest: bool = False,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.metadata, self.entry, self.has_latest = metadata, entry, has_latest
        super().__init__(PurePosixPath(Path(filepath).as_posix()), version)

    def save(self, data: SiteFiles) -> None:
        """Write a version, then the page that leads to the newest one.

        Raises:
            VersionStorageError: if the disk is full or failing, or the folder is not writable.
            DatasetError: if this version exists.
        """
        super().save(data)
        self._keep_latest()

    def take_over(self, version: str) -> None:
        """Save an earlier version as this run's own, then the page that leads to the newest one; errors as of save."""
        super().take_over(version)
        self._keep_latest()

    def load(self) -> Path:
        """Return the path of the entry."""
        return Path(self._get_load_path()) / self.entry

    def _write(self, data: SiteFiles, path: Path) -> None:
        for name, content in data.files():
            file = path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)

    def _keep_latest(self) -> None:
        if self.has_latest and self._version:
            page = Path(self._filepath) / LATEST / ENTRY
            with explaining(page):
                self._lead_to_newest(page)

    def _lead_to_newest(self, page: Path) -> None:
        """Write the page until it leads to the newest version: another run may have saved meanwhile."""
        written = None
        while (newest := self._newest_of_all_runs()) != written:
            url = quote(f"../{newest}/{self._filepath.name}/{self.entry}")
            with replacing(page) as temporary:
                temporary.write_text(_REDIRECT.format(url=url, version=escape(newest)), encoding="utf-8")
            written = newest

    def _newest_of_all_runs(self) -> str:
        """Find the newest whole version, also of runs in progress: a finished version never changes."""
        everything = copy(self)
        everything._hidden = ()
        return everything.find_newest()

    def _inspect(self, path: Path) -> None:
        if not (path / self.entry).stat().st_size:
            raise ValueError(f"{self.entry} in it is empty")

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}
