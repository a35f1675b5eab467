"""Download published benchmarks from the Hugging Face Hub and from web servers."""

import hashlib
import logging
import shutil
import zipfile
import zlib
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from cultureclip.benchmarks.downloads.origins import (
    INCOMPLETE,
    HubOrigin,
    ManualOrigin,
    Origin,
    UrlFile,
    UrlOrigin,
    read_record,
    write_record,
)
from cultureclip.engine.atomic import replacing
from cultureclip.errors import ConfigurationError, DownloadError
from cultureclip.reading.text import first_line

logger = logging.getLogger(__name__)

_CHUNK = 1 << 20
_TIMEOUT_S = 60


def fetch_benchmark(name: str, origin: Origin, folder: Path) -> dict[str, Any]:
    """Make sure that a benchmark's files are in its folder.

    Args:
        name: Name of the benchmark.
        origin: Source of the files.
        folder: Destination; files of an interrupted download are reused.

    Returns:
        ``status`` (``fetched``, ``there`` or ``by hand``), ``revision``, and ``note``: steps that are left to do.

    Raises:
        ConfigurationError: if a download is needed, and HF_HUB_OFFLINE is set.
        DownloadError: if a file did not arrive, or does not match its checksum.
    """
    record = read_record(folder)
    result = {"name": name, "folder": str(folder), "revision": record and record.get("revision"), "note": ""}
    if isinstance(origin, ManualOrigin):
        there = folder.is_dir() and any(folder.iterdir())
        return result | {"status": "there" if there else "by hand", "note": "" if there else origin.by_hand}
    if record:
        if record.get("origin") != origin.model_dump(mode="json"):
            cause = f"it holds what was fetched from {record.get('origin')}"
            raise ConfigurationError(folder, cause, "Move or remove the folder: two releases must not be mixed")
        return result | {"status": "there"}
    _check_online(name)
    logger.info("Fetching %s into %s", name, folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INCOMPLETE).touch()
    if isinstance(origin, HubOrigin):
        revision, files = _fetch_snapshot(name, origin, folder), {}
    else:
        revision, files = None, _fetch_files(name, origin, folder)
    write_record(folder, origin, revision, files)
    (folder / INCOMPLETE).unlink()
    return result | {"status": "fetched", "revision": revision}


def _check_online(name: str) -> None:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise ConfigurationError(
            f"benchmark {name}",
            "it is not here, and HF_HUB_OFFLINE=1 forbids the download (make and every kedro run set it)",
            "Where there is a network: HF_HUB_OFFLINE=0 kedro run --pipelines=fetch_benchmarks",
        )


def _fetch_snapshot(name: str, origin: HubOrigin, folder: Path) -> str:
    """Download a dataset at one commit, and return the commit."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import GatedRepoError, HTTPError

    try:
        commit = str(HfApi().dataset_info(origin.hub, revision=origin.revision).sha)
        snapshot_download(
            origin.hub,
            repo_type="dataset",
            revision=commit,
            local_dir=folder,
            allow_patterns=list(origin.files),
        )
    except GatedRepoError as error:
        address = f"https://huggingface.co/datasets/{origin.hub}"
        remedy = f"Accept its terms at {address}, then set HF_TOKEN to a token of the same account"
        raise DownloadError(f"benchmark {name}", "its owner wants an agreement first", remedy) from error
    except (HTTPError, OSError) as error:
        raise _failed(name, origin.hub, error) from error
    return commit


def _fetch_files(name: str, origin: UrlOrigin, folder: Path) -> dict[str, str]:
    """Download every missing file, unpack and remove archives; return name -> SHA-256."""
    found = {}
    for file in origin.urls:
        target = folder / file.to
        if not target.is_file():
            _fetch_file(name, file, target)
        found[file.to] = _check_file(name, file, target)
        if file.unpack:
            _unpack(name, target, folder)
    for file in origin.urls:  # unpack last: a later download may fail, and the archive is then needed again
        if file.unpack:
            (folder / file.to).unlink()
    return found


def _fetch_file(name: str, file: UrlFile, target: Path) -> None:
    try:
        with (
            urlopen(file.url, timeout=_TIMEOUT_S) as response,  # noqa: S310 - the settings allow http, https and file
            replacing(target) as temporary,
            temporary.open("wb") as handle,
        ):
            shutil.copyfileobj(response, handle, _CHUNK)
            _check_length(response.headers.get("Content-Length"), handle.tell())
    except (URLError, HTTPException, OSError) as error:
        raise _failed(name, file.url, error) from error


def _check_length(announced: str | None, got: int) -> None:
    """Check the length: after a broken connection, ``read`` with a size returns less data and raises nothing."""
    if announced is not None and announced.isdecimal() and int(announced) != got:
        raise OSError(f"{got} of {announced} bytes arrived")


def _check_file(name: str, file: UrlFile, target: Path) -> str:
    with target.open("rb") as handle:
        found = hashlib.file_digest(handle, "sha256").hexdigest()
    if file.sha256 not in (None, found):
        target.unlink()
        raise DownloadError(
            f"benchmark {name}, {file.url}",
            f"its SHA-256 is {found}, not {file.sha256}; it was removed",
            "Fetch it again; if the checksum still differs, inspect the owner's new file, then correct the checksum",
        )
    return found


def _unpack(name: str, archive: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as members:
            _check_room(archive, sum(member.file_size for member in members.infolist()), folder)
            members.extractall(folder)  # zipfile removes path parts that lead out of the folder
    except (zipfile.BadZipFile, zlib.error, RuntimeError, OSError) as error:  # RuntimeError: it is encrypted
        raise DownloadError(archive, f"not a whole zip archive ({error})", f"Remove it, fetch {name} again") from error


def _check_room(archive: Path, size: int, folder: Path) -> None:
    """Make sure that an archive's files fit on the disk; zipfile unpacks only as much as their headers claim."""
    free = shutil.disk_usage(folder).free
    if size > free:
        cause = f"its files have {size:,} bytes, and {free:,} are free"
        raise DownloadError(archive, cause, "Free disk space if the size is plausible; else remove the archive")


def _failed(name: str, origin: str, error: Exception) -> DownloadError:
    reason = first_line(error)
    cause = f"could not be downloaded from {origin} ({reason})"
    remedy = "Check the network and the address, then run it again; files that have arrived are kept"
    return DownloadError(f"benchmark {name}", cause, remedy)
