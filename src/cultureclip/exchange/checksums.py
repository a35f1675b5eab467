"""Checksums of the files of a finished folder, written last: a folder without them, or with others, is not finished."""

import re
from pathlib import Path

from cultureclip.errors import SourceDataError
from cultureclip.provenance import hash_file
from cultureclip.reading.text import RefusedError, read_lines

CARD, CHECKSUMS = "README.md", "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_EXPORT_AGAIN = "Export it again: kedro run --pipelines=export or export_model"


def list_files(folder: Path) -> list[str]:
    """Return the paths of all files below a folder, except the checksums."""
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in files if path != CHECKSUMS)


def write_checksums(folder: Path) -> None:
    """Write ``SHA256SUMS`` of all files of a folder, as ``sha256sum --check`` reads it."""
    lines = [f"{hash_file(folder / path)}  {path}\n" for path in list_files(folder)]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8")


def check_finished(folder: Path) -> list[str]:
    """Make sure that a folder is as an export left it.

    Returns:
        All of its files.

    Raises:
        SourceDataError: if the card or the checksums are missing, or a file is missing, changed or added.
    """
    for name in (CARD, CHECKSUMS):
        if not (folder / name).is_file():
            raise SourceDataError(folder, f"not a finished export: no {name} in it", _EXPORT_AGAIN)
    try:
        matches = [_LINE.fullmatch(line) for line in read_lines(folder / CHECKSUMS)]
    except (OSError, RefusedError) as error:
        raise SourceDataError(folder / CHECKSUMS, f"cannot be read ({error})", _EXPORT_AGAIN) from error
    if not all(matches):
        raise SourceDataError(folder / CHECKSUMS, "not a list of checksums", _EXPORT_AGAIN)
    sums = {match[2]: match[1] for match in matches if match}
    files = list_files(folder)
    if differing := sorted(set(sums) ^ set(files)):
        cause = "is not there" if differing[0] in sums else "was added after the export"
        raise SourceDataError(folder / differing[0], cause, _EXPORT_AGAIN)
    for path in files:
        if hash_file(folder / path) != sums[path]:
            raise SourceDataError(folder / path, "was changed after the export", _EXPORT_AGAIN)
    return [*files, CHECKSUMS]
