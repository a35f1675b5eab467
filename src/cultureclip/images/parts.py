"""One part of the image store on disk: a parquet file, and a checksum file that confirms it.

A part is named by the hash of its bytes and never changes. Every page of it has a checksum, so that reading a few rows
detects damage as reading the whole file does.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cultureclip.engine import files
from cultureclip.engine.disk import is_disk_failure
from cultureclip.errors import DamagedImageError, DamagedShardError, StorageError
from cultureclip.ids import bytes_digest
from cultureclip.images.records import SCHEMA, encode_table

CHECKSUM, DAMAGED = ".sha256", ".damaged"
PART = re.compile(r"part-([0-9a-f]{20})\.parquet")
REMEDY = "Run `kedro run --pipelines=synthesis` to generate its images again"
_CHECKSUM_TEXT = re.compile(r"# bytes (\d+)\n([0-9a-f]{64})  (\S+)\n")
UNREADABLE = (pa.ArrowException, OSError, LookupError, ValueError, TypeError, MemoryError)
"""Errors of the parquet reader for a file that is damaged."""


def beside(path: Path, suffix: str) -> Path:
    """Return the path of a file that belongs to another."""
    return path.with_name(path.name + suffix)


def write_part(folder: Path, table: pa.Table) -> tuple[Path, int]:
    """Store rows as one part, completely or not at all.

    Returns:
        Its path and its length in bytes.

    Raises:
        StorageError: if the disk is full, or the folder cannot be written.
    """
    content = encode_table(table)
    part = folder / f"part-{bytes_digest(content)[:20]}.parquet"
    _write(part, content)
    confirm(part, content)
    return part, len(content)


def confirm(part: Path, content: bytes) -> None:
    """Write the checksum file of a part: from now on it counts."""
    _write(beside(part, CHECKSUM), _checksum_text(part, len(content), bytes_digest(content)).encode())


def checksum_size(part: Path, size: int) -> int:
    """Return the length of the checksum file of a part."""
    return len(_checksum_text(part, size, "0" * 64))


def read_checksum(part: Path) -> tuple[int, str]:
    """Read the length and the SHA-256 of a part from its checksum file.

    Raises:
        DamagedShardError: if it is damaged or gone; the part is set aside.
    """
    file = beside(part, CHECKSUM)
    with reading(file):
        text = files.read(file) or b""
    found = _CHECKSUM_TEXT.fullmatch(text.decode(errors="replace"))
    if found is None or found[3] != part.name:
        raise set_aside(part, "its checksum file is damaged or gone")
    return int(found[1]), found[2]


def read_whole(part: Path) -> bytes:
    """Read a part and compare all of it with its checksum.

    Raises:
        DamagedShardError: if they differ; the part is set aside.
        StorageError: if the disk fails; the part stays.
    """
    _, checksum = read_checksum(part)
    with reading(part):
        content = files.read(part) or b""
    if bytes_digest(content) != checksum:
        raise set_aside(part, "its bytes do not match its checksum file")
    return content


def read_rows(part: Path, columns: list[str], rows: Sequence[int] | None = None) -> pa.Table:
    """Read columns of some rows, in the order given, or of all rows: of the pictures, the row groups that hold them.

    Raises:
        FileNotFoundError: if the part is gone.
        DamagedShardError: if what is read is damaged; the part is set aside.
        StorageError: if the disk fails; the part stays.
    """
    try:
        with reading(part), open_parquet(part) as file:
            schema = file.schema_arrow
            if [schema.field(name).type for name in columns] != [SCHEMA.field(name).type for name in columns]:
                raise ValueError(f"its columns are {schema.names}")
            if rows is None:
                return file.read(columns, use_threads=False)
            return _take(file, columns, rows)
    except FileNotFoundError:
        raise
    except UNREADABLE as error:
        raise set_aside(part, f"not a whole parquet file ({error})") from error


def open_parquet(part: Path) -> pq.ParquetFile:
    """Open a part to read some of it. Of an object store, what is read is fetched in few large ranges."""
    return pq.ParquetFile(files.source(part), page_checksum_verification=True, pre_buffer=files.is_remote(part))


def _take(file: pq.ParquetFile, columns: list[str], rows: Sequence[int]) -> pa.Table:
    """Read the row groups that hold the rows, and choose the rows."""
    lengths = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    ends = np.cumsum(lengths)
    if max(rows) >= ends[-1]:
        raise ValueError(f"it has {ends[-1]} rows")
    home = np.searchsorted(ends, rows, side="right")
    groups, place = np.unique(home, return_inverse=True)
    kept = np.cumsum([0, *(lengths[group] for group in groups[:-1])])
    inside = np.asarray(rows) - (ends[home] - np.asarray(lengths)[home])
    return file.read_row_groups(groups.tolist(), columns, use_threads=False).take(kept[place] + inside)


def check_picture(part: Path, image_id: str, row: dict[str, Any]) -> bytes:
    """Return the picture of a row that was read, if it is the one that was stored.

    Raises:
        DamagedImageError: if the row is another image's, or the picture does not match its recorded SHA-256.
    """
    data: bytes = row["image"]["bytes"]
    if row["image_id"] != image_id or hashlib.sha256(data).hexdigest() != row["sha256"]:
        cause = f"image {image_id}: its bytes do not match its recorded SHA-256"
        raise DamagedImageError(part, cause, f"Delete the part. {REMEDY}")
    return data


def set_aside(part: Path, cause: str) -> DamagedShardError:
    """Take a part out of the store (checksum file first: then it no longer counts) and build the error."""
    for path in (beside(part, CHECKSUM), part):
        files.move(path, beside(path, DAMAGED))
    remedy = f"Save what is whole in it: kedro store repair. {REMEDY}"
    return DamagedShardError(part, f"{cause}; moved aside to {part.name}{DAMAGED}", remedy)


def remove(part: Path) -> None:
    """Delete a part, its checksum file first."""
    for path in (beside(part, CHECKSUM), part):
        with reading(path):
            files.remove(path)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Tell a disk error from a damaged file, because a disk error must not move a whole part aside."""
    try:
        yield
    except OSError as error:
        if not is_disk_failure(error):
            raise
        remedy = "The part may be whole: fix the disk, the permissions or the limit on open files, then run again"
        raise StorageError(path, f"cannot be read ({error.strerror or error})", remedy) from error


def _checksum_text(part: Path, size: int, checksum: str) -> str:
    return f"# bytes {size}\n{checksum}  {part.name}\n"


def _write(path: Path, content: bytes) -> None:
    """Write a file completely or not at all; a disk error says the remedy."""
    try:
        files.write(path, content)
    except OSError as error:
        remedy = "Free disk space, or give `image_store` another folder, then run again: stored images stay"
        raise StorageError(path, f"cannot be written ({error.strerror or error})", remedy) from error
