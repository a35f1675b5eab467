"""Origins of published benchmarks, and the record that a download leaves beside the files."""

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from cultureclip.engine.atomic import replacing
from cultureclip.reading.json_text import read_object
from cultureclip.reading.text import RefusedError
from cultureclip.settings_base import Settings

RECORD = "fetched.json"
"""File in a benchmark's folder that records the download. It is written last, so it means that all files are there."""

INCOMPLETE = "fetched.incomplete"
"""File in a benchmark's folder while it is being downloaded."""

_Text = Annotated[str, Field(min_length=1)]


class HubOrigin(Settings):
    """A dataset of the Hugging Face Hub: its id, a branch, tag or commit, and globs of the wanted files."""

    hub: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: _Text = "main"
    files: tuple[_Text, ...] = ("*",)


class UrlFile(Settings):
    """One file: its address, its name in the folder, its checksum if known; a zip archive may be unpacked."""

    url: Annotated[str, Field(pattern=r"^(https?|file)://")]
    to: Annotated[str, Field(pattern=r"^[\w-][\w.-]*$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    unpack: bool = False


class UrlOrigin(Settings):
    """Files of web servers."""

    urls: tuple[UrlFile, ...] = Field(min_length=1)


class ManualOrigin(Settings):
    """Steps for a person, because the owner of the files wants an agreement first."""

    by_hand: _Text


Origin = HubOrigin | UrlOrigin | ManualOrigin


def write_record(folder: Path, origin: Origin, revision: str | None, files: dict[str, str]) -> None:
    """Note that a download is complete.

    Args:
        folder: The benchmark's folder.
        origin: Origin that was fetched.
        revision: The fetched commit, if any.
        files: Name -> SHA-256 of each file from an address.
    """
    record = {"origin": origin.model_dump(mode="json"), "revision": revision, "files": files}
    with replacing(folder / RECORD) as temporary:
        temporary.write_text(json.dumps(record, indent=2), encoding="utf-8")


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return the record of a complete download, or None if there is none or a person put the files there."""
    try:
        return read_object(folder / RECORD)
    except (OSError, RefusedError):
        return None
