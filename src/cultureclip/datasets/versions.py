"""Versions of datasets that are saved completely or not at all, and that belong to the run that uses them."""

import logging
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractVersionedDataset, DatasetError
from kedro.io.core import VersionNotFoundError, generate_timestamp

from cultureclip.engine.atomic import replacing
from cultureclip.engine.disk import cannot_write, is_disk_failure
from cultureclip.engine.folders import building
from cultureclip.engine.temporary import is_temporary
from cultureclip.errors import CultureClipError, StorageError

if TYPE_CHECKING:
    Versioned = AbstractVersionedDataset[Any, Any]
else:  # Kedro wraps the methods of every subclass: a mixin must not be one
    Versioned = object

logger = logging.getLogger(__name__)

_DAMAGE = (ValueError, OSError, SyntaxError, RecursionError, DatasetError, CultureClipError)
"""Errors of readers for a damaged file; Pillow's is a SyntaxError."""


class VersionStorageError(StorageError, DatasetError):
    """A version could not be written or read; also Kedro's error, because Kedro replaces other errors."""


class WholeVersions(Versioned):
    """Mixin, before a versioned dataset, for datasets on a local disk.

    - A save fills a folder beside the others and renames it. A version that has its name is whole.
    - A load takes the version that this run saved. Else it takes what was newest when the run started (:meth:`pin`).
    - A damaged version is passed over. A version dated in the future comes last. A warning names either.

    A dataset of our own writes with :meth:`_write`. One of kedro-datasets is written by its own ``save``. Each class
    says in :meth:`_inspect` how damage shows.
    """

    _pinned: str | None = None
    _hidden: Collection[str] = ()

    def save(self, data: Any) -> None:
        """Write a version, or without versions the file or folder itself, completely or not at all.

        Raises:
            VersionStorageError: if the disk is full or failing, or the folder is not writable.
            DatasetError: if this version exists, or the data cannot be written in this format.
        """
        self._check_local()
        target = Path(self._get_save_path())
        with explaining(target):
            if self._version:
                with building(target.parent) as folder:
                    self._write(data, folder / target.name)
            else:
                with replacing(target) as temporary:
                    self._write(data, temporary)

    def rewrite(self, data: Any) -> None:
        """Write this run's version again, of a dataset that is a file; a reader sees the old content or the new one.

        Raises:
            VersionStorageError: if the disk is full or failing, or the folder is not writable.
        """
        with explaining(self.saved_path()), replacing(self.saved_path()) as temporary:
            self._write(data, temporary)

    def _write(self, data: Any, path: Path) -> None:
        """Write data to a path that does not exist yet."""
        plain = self._copy(_filepath=PurePosixPath(path.as_posix()), _version=None)
        super(WholeVersions, plain).save(data)  # type: ignore[misc]  # a copy of self

    def _inspect(self, path: Path) -> None:
        """Raise an error if the file or folder at a path is damaged. The check should take less time than loading."""
        raise NotImplementedError

    def inspect(self) -> None:
        """Make sure that the version to be loaded is whole.

        Raises:
            DatasetError: if it is damaged, or there is none.
        """
        path = Path(self._get_load_path())
        if damage := self._find_damage(path):
            raise DatasetError(f"{path} is damaged: {damage}")

    def pin(self, hidden: Collection[str] = ()) -> None:
        """Load from now on this run's own version, or else the version that is newest now, whatever other runs save.

        Args:
            hidden: Versions that do not count, because the runs that save them are in progress.

        Raises:
            DatasetError: if the dataset is not on a local disk, or cannot be read.
        """
        self._check_local()
        self._hidden, self._pinned, self._cached_load_version = hidden, None, None
        if self.exists():
            self._pinned = self.resolve_load_version()

    def is_saved(self) -> bool:
        """Tell whether this run has saved its version."""
        return self.saved_path().exists()

    def saved_path(self) -> Path:
        """Return the path of this run's version, whether it has been saved or not."""
        version = self.resolve_save_version()
        return Path(self._filepath if version is None else self._get_versioned_path(version))

    def version_path(self, version: str) -> Path:
        """Return the path of a version, whether it is there or not."""
        return Path(self._get_versioned_path(version))

    def is_whole(self, version: str) -> bool:
        """Tell whether a version is there and not damaged."""
        path = self.version_path(version)
        return path.exists() and self._find_damage(path) is None

    def take_over(self, version: str) -> None:
        """Save a copy of an earlier version as this run's own.

        Raises:
            VersionStorageError: if the disk is full or failing, or the folder is not writable.
        """
        source, target = self.version_path(version), self.saved_path()
        with explaining(target), building(target.parent) as folder:
            if source.is_dir():
                shutil.copytree(source, folder / target.name, copy_function=shutil.copyfile)
            else:
                shutil.copyfile(source, folder / target.name)

    def resolve_load_version(self) -> str | None:
        """Return the version to load: the requested one, else this run's, else the pinned or newest one."""
        if self._version is None or self._version.load:
            return super().resolve_load_version()
        own = self._version.save or self._cached_save_version
        if own and Path(self._get_versioned_path(own)).exists():
            return own
        return self._pinned or super().resolve_load_version()

    def _exists(self) -> bool:
        return Path(self._get_load_path()).exists()

    def _check_local(self) -> None:
        protocol = getattr(self, "_protocol", "file")
        if protocol != "file":
            raise DatasetError(f"{self}: {protocol} has no atomic rename. Give it a filepath on a local disk")

    def _get_versions(self) -> list[str]:
        """Return the paths of all versions, damaged ones too, the newest first; future dates come last."""
        now = generate_timestamp()
        named = {path: Path(path).parent.name for path in super()._get_versions()}
        shown = [path for path, name in named.items() if not is_temporary(name) and name not in self._hidden]
        return sorted(shown, key=lambda path: (not _is_later(named[path], now), path), reverse=True)

    def _fetch_latest_load_version(self) -> str:
        """Keep the newest whole version."""
        if self._cached_load_version is None:
            self._cached_load_version = self.find_newest()
        return self._cached_load_version

    def find_newest(self) -> str:
        """Find the newest whole version on the disk, whatever is pinned; log the names of skipped versions.

        Raises:
            VersionNotFoundError: if there is no whole version.
        """
        now, damages = generate_timestamp(), []
        versions = {self._get_version_from_path(path): Path(path) for path in self._get_versions()}
        for version, path in versions.items():
            if damage := self._find_damage(path):
                damages.append(f"{path}: {damage}")
                logger.warning("Damaged version passed over; remove it: %s", damages[-1])
                continue
            for later in (name for name in versions if _is_later(name, now)):
                remedy = "Set the clock right; to load another version: --load-versions <dataset>:<version>"
                logger.warning("%s is dated in the future, %s is loaded. %s", versions[later], version, remedy)
            return version
        raise VersionNotFoundError("; ".join([f"No whole version of {self}", *damages]))

    def _find_damage(self, path: Path) -> str | None:
        """Describe the defect of a version; None if it is whole.

        Raises:
            VersionStorageError: if the disk fails, which says nothing about the version.
        """
        try:
            self._inspect(path)
        except _DAMAGE as error:
            if isinstance(error, OSError) and is_disk_failure(error):
                remedy = "Check the disk and the permissions, then run again"
                raise VersionStorageError(path, f"cannot be read ({error.strerror})", remedy) from error
            return str(error).removeprefix(f"{path}: ") or repr(error)
        return None


def _is_later(version: str, now: str) -> bool:
    """Tell whether a version is dated after now; a version need not be a date."""
    return version[:4].isdigit() and version > now


@contextmanager
def explaining(target: Path) -> Iterator[None]:
    """Turn a disk error, possibly inside Kedro's, into a typed one with a remedy; other errors pass."""
    try:
        yield
    except (OSError, CultureClipError, DatasetError) as error:
        cause = error.__cause__ if isinstance(error, DatasetError) and error.__cause__ else error
        if isinstance(cause, OSError):
            cause = cannot_write(target, cause)
        if isinstance(cause, StorageError):
            raise VersionStorageError(cause.item, cause.cause, cause.remedy) from error
        raise
