"""A content-addressed store of images in shards, safe against ``kill -9``, full disks and two writers at once.

Layout: ``<root>/<shard>/part-<hash of its bytes>.parquet`` and, written last, ``part-….parquet.sha256``. A part counts
only when its checksum file exists and matches. Parts never change, so they are read without locks.
"""

import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from cultureclip.engine.atomic import replacing
from cultureclip.engine.disk import is_disk_failure
from cultureclip.engine.temporary import sweep
from cultureclip.errors import DamagedImageError, DamagedShardError, MissingInputError, SourceDataError, StorageError
from cultureclip.images.records import SCHEMA, ImageRecord, decode_image, to_parquet

logger = logging.getLogger(__name__)

_CHECKSUM, _DAMAGED = ".sha256", ".damaged"
_CHECKSUM_TEXT = re.compile(r"# bytes (\d+)\n([0-9a-f]{64})  (\S+)\n")
_REMEDY = "Run `kedro run --pipelines=synthesis` to generate its images again"


class ShardStore:
    """Images by id.

    Args:
        root: Folder of the store; created at the first write.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self._ids: dict[Path, tuple[str, ...]] = {}  # parts never change: each is opened once for its ids

    def present(self) -> set[str]:
        """Return the ids of all images in parts that count.

        Sizes are compared, bytes are not (see :meth:`verify`). A part of wrong size, or whose ids cannot be read, is
        named in the log and moved aside, so that its images count as missing.

        Raises:
            StorageError: if the disk fails; nothing is moved then.
        """
        return {image_id for ids in self._index().values() for image_id in ids}

    def verify(self) -> list[Path]:
        """Compare every part with its checksum and move damaged ones aside.

        Returns:
            The damaged parts' paths.
        """
        damaged = []
        for part in list(self._index()):
            try:
                self._read_bytes(part)
            except DamagedShardError as error:
                logger.warning("%s", error)
                damaged.append(part)
        return damaged

    def find_unconfirmed(self) -> list[Path]:
        """Find parts that do not count because they have no checksum file, and name them in the log.

        They stay where they are: a writer may be about to confirm them.
        """
        parts = {path.with_suffix("") for path in self.root.glob(f"*/part-*.parquet{_CHECKSUM}")}
        found = sorted(set(self.root.glob("*/part-*.parquet")) - parts)
        for part in found:
            cause = "no checksum file (a writer was stopped, or the file was deleted), so none of its images counts"
            logger.warning("%s: %s. %s; the part itself may be deleted", part, cause, _REMEDY)
        return found

    def write_part(self, shard: str, records: Sequence[ImageRecord]) -> Path:
        """Store records as one part, completely or not at all.

        Args:
            shard: Folder of the part; the head of every record's id.
            records: At least one.

        Raises:
            SourceDataError: if a record does not belong to the shard.
            StorageError: if the disk is full, or the folder cannot be written.
        """
        for record in records:
            if not re.fullmatch(r"[0-9a-f]+", record.image_id) or not shard or not record.image_id.startswith(shard):
                raise SourceDataError(
                    repr(record.image_id), f"does not belong to shard {shard!r}", "Use ids from ids.digest"
                )
        content = to_parquet(records)
        checksum = hashlib.sha256(content).hexdigest()
        part = self.root / shard / f"part-{checksum[:20]}.parquet"
        _write(part, content)
        _write(_beside(part, _CHECKSUM), f"# bytes {len(content)}\n{checksum}  {part.name}\n".encode())
        self._ids[part] = tuple(record.image_id for record in records)
        return part

    def read(self, ids: Sequence[str]) -> dict[str, Image.Image]:
        """Decode images, in the order of ``ids``; every part that is opened is compared with its checksum.

        Raises:
            MissingInputError: if an id is not in the store.
            DamagedShardError: if a part does not match its checksum.
            StorageError: if a part cannot be read.
            DamagedImageError: if a picture does not match its record.
        """
        found: dict[str, Image.Image] = {}
        for part, table in self._tables(ids, ["image_id", "image", "width", "height"]):
            for row in table.to_pylist():
                try:
                    found[row["image_id"]] = decode_image(row["image"]["bytes"], (row["width"], row["height"]))
                except ValueError as error:
                    raise DamagedImageError(
                        part, f"image {row['image_id']}: {error}", f"Delete it. {_REMEDY}"
                    ) from error
        return {image_id: found[image_id] for image_id in ids}

    def checksums(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the SHA-256 of pictures from their records, in the order of ``ids``; no picture is read or compared.

        Raises:
            MissingInputError: if an id is not in the store.
            DamagedShardError: if a part is not a whole parquet file.
        """
        return self._recorded("sha256", ids)

    def batch_sizes(self, ids: Sequence[str]) -> dict[str, int]:
        """Return the batch size of pictures from their records; no picture is read. Errors as :meth:`checksums`."""
        return self._recorded("batch_size", ids)

    def _recorded(self, column: str, ids: Sequence[str]) -> dict[str, Any]:
        """Read one column of the parts that hold the ids, in the order of ``ids``."""
        found: dict[str, Any] = {}
        for part, _ in self._homes(ids):
            table = self._read_columns(part, ["image_id", column])
            found.update(zip(table["image_id"], table[column], strict=True))
        return {image_id: found[image_id] for image_id in ids}

    def _tables(self, ids: Sequence[str], columns: list[str]) -> Iterator[tuple[Path, pa.Table]]:
        """Yield the path and the rows of each part that holds some of the ids."""
        for part, here in self._homes(ids):
            table = pq.read_table(pa.BufferReader(self._read_bytes(part)), columns=columns)
            chosen = pa.array([image_id in here for image_id in table["image_id"].to_pylist()])
            yield part, table.filter(chosen)

    def _homes(self, ids: Sequence[str]) -> list[tuple[Path, set[str]]]:
        """Return each part that holds some of the ids, and which."""
        wanted = set(ids)
        homes = {part: wanted.intersection(part_ids) for part, part_ids in self._index().items()}
        if missing := wanted.difference(*homes.values()):
            cause = f"{len(missing)} of {len(wanted)} images are not stored, first {min(missing)}"
            raise MissingInputError(self.root, cause, _REMEDY)
        return [(part, here) for part, here in homes.items() if here]

    def _index(self) -> dict[Path, tuple[str, ...]]:
        """Return the parts that count, sorted, and their ids."""
        for folder in self.root.glob("*/"):
            sweep(folder)
        parts = sorted(path.with_suffix("") for path in self.root.glob(f"*/part-*.parquet{_CHECKSUM}"))
        known, index = self._ids, {}
        for part in parts:
            try:
                index[part] = known[part] if part in known and part.exists() else self._read_ids(part)
            except DamagedShardError as error:
                logger.warning("%s", error)
        self._ids = index  # at once: several threads may read
        return index

    def _read_ids(self, part: Path) -> tuple[str, ...]:
        size, _ = self._read_checksum(part)
        with _reading(part):
            whole = part.is_file() and part.stat().st_size == size
        if not whole:
            raise self._set_aside(part, "missing or not as long as its checksum file says")
        return tuple(self._read_columns(part, ["image_id"])["image_id"])

    def _read_columns(self, part: Path, columns: list[str]) -> dict[str, list[Any]]:
        """Read columns of a part; the part's checksum is not compared, those of its pages are."""
        try:
            with _reading(part):
                table = pq.read_table(part, columns=columns, partitioning=None, page_checksum_verification=True)
            if [table.schema.field(name).type for name in columns] != [SCHEMA.field(name).type for name in columns]:
                raise ValueError(f"its columns are {table.schema.names}")
            return {name: table[name].to_pylist() for name in columns}
        except (pa.ArrowException, OSError, LookupError, ValueError, TypeError, MemoryError) as error:
            raise self._set_aside(part, f"not a whole parquet file ({error})") from error

    def _read_bytes(self, part: Path) -> bytes:
        _, checksum = self._read_checksum(part)
        with _reading(part):
            content = part.read_bytes() if part.is_file() else b""
        if hashlib.sha256(content).hexdigest() != checksum:
            raise self._set_aside(part, "its bytes do not match its checksum file")
        return content

    def _read_checksum(self, part: Path) -> tuple[int, str]:
        file = _beside(part, _CHECKSUM)
        with _reading(file):
            text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
        found = _CHECKSUM_TEXT.fullmatch(text)
        if found is None or found[3] != part.name:
            raise self._set_aside(part, "its checksum file is damaged or gone")
        return int(found[1]), found[2]

    def _set_aside(self, part: Path, cause: str) -> DamagedShardError:
        """Take a part out of the store (checksum file first: then it no longer counts) and build the error."""
        self._ids.pop(part, None)
        for path in (_beside(part, _CHECKSUM), part):
            if path.exists():
                path.replace(_beside(path, _DAMAGED))
        return DamagedShardError(part, f"{cause}; moved aside to {part.name}{_DAMAGED}", _REMEDY)


class ImageSet:
    """Some images of a store: a manifest's sorted ids, and the store to read them from.

    Args:
        store: Store of the images.
        ids: Which ones.
    """

    def __init__(self, store: ShardStore, ids: Sequence[str]) -> None:
        self.store = store
        self.ids = sorted(set(ids))

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, ids: Sequence[str] | None = None) -> list[Image.Image]:
        """Decode images, by default all of the set; errors as :meth:`ShardStore.read`."""
        wanted = self._check(ids)
        pictures = self.store.read(wanted)
        return [pictures[image_id] for image_id in wanted]

    def checksums(self, ids: Sequence[str] | None = None) -> list[str]:
        """Return the SHA-256 of pictures, by default of the whole set; errors as in :meth:`ShardStore.checksums`."""
        wanted = self._check(ids)
        found = self.store.checksums(wanted)
        return [found[image_id] for image_id in wanted]

    def _check(self, ids: Sequence[str] | None) -> list[str]:
        wanted = self.ids if ids is None else list(ids)
        if foreign := set(wanted).difference(self.ids):
            raise MissingInputError(f"image {min(foreign)}", "not in this version of the images", _REMEDY)
        return wanted


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Tell a disk error from a damaged file, because a disk error must not move a whole part aside."""
    try:
        yield
    except OSError as error:
        if not is_disk_failure(error):
            raise
        remedy = "The part may be whole: fix the disk, the permissions or the limit on open files, then run again"
        raise StorageError(path, f"cannot be read ({error.strerror or error})", remedy) from error


def _write(path: Path, content: bytes) -> None:
    """Write a file completely or not at all; a disk error says the remedy."""
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        remedy = "Free disk space, or give `image_store` another folder, then run again: stored images stay"
        raise StorageError(path, f"cannot be written ({error.strerror or error})", remedy) from error
