"""Where each image of a store lies: the parts that count and the place of every id, in memory and in a file.

The file is a cache. A part's name is the hash of its bytes, so what the index says of a part is true as long as the
part is whole; which parts there are, the folders say. An index that is stale is completed, and one that is damaged is
made again.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cultureclip.engine import files
from cultureclip.engine.temporary import sweep
from cultureclip.errors import DamagedShardError
from cultureclip.images.parts import CHECKSUM, PART, checksum_size, read_checksum, read_rows, reading, set_aside

logger = logging.getLogger(__name__)

FILE = ".index"
"""Name of the file; hidden, so that nothing takes it for a part."""
_SCHEMA = pa.schema(
    [
        ("part", pa.string()),
        ("size", pa.int64()),
        ("image_ids", pa.list_(pa.string())),
        ("batch_sizes", pa.list_(pa.int32())),
    ]
)
_DIGEST = hashlib.sha256().digest_size
_OPENED_SHARE = 50
"""The file is written again when one part in so many had to be opened for its ids."""
_SETTLED_NS = 2_000_000_000
"""A folder that changed less than this before it was listed is listed again: a file system's clock has ticks."""


@dataclass(frozen=True)
class PartFacts:
    """Content of a part, except for its pictures: length in bytes, ids and batch sizes of its rows."""

    size: int
    ids: tuple[str, ...]
    batch_sizes: tuple[int, ...]


@dataclass
class _Folder:
    changed: int | None
    parts: list[Path]


class StoreIndex:
    """The parts that count, and where each image is.

    A folder of a disk is listed again only after it changed, and a part is opened for its ids once. Threads may share
    an index.

    Args:
        root: Folder of the store.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.parts: dict[Path, PartFacts] = {}
        self._lock = threading.RLock()
        self._folders: dict[Path, _Folder] = {}
        self._places: dict[str, tuple[Path, int]] = {}
        self._stale = False
        self._unsaved: set[Path] = set()
        self._cached: dict[Path, PartFacts] | None = None

    def refresh(self) -> None:
        """Take in what other writers have stored or removed. A damaged part is named in the log and set aside.

        Raises:
            StorageError: if the disk fails.
        """
        with self._lock:
            if self._cached is None:
                self._cached = _load(self.root)
            parts: list[Path] = []
            with reading(self.root):
                folders = files.list_folders(self.root)
            for folder in folders:
                parts += self._list(folder)
            for gone in self.parts.keys() - set(parts):
                self.forget(gone)
            for part in parts:
                if part not in self.parts:
                    self.add(part, self._cached[part])
            self.parts = {part: self.parts[part] for part in sorted(parts)}
            if len(self._unsaved) * _OPENED_SHARE >= max(len(self.parts), 1) and self._unsaved:
                self._save()

    def _list(self, folder: Path) -> list[Path]:
        """Return the parts of a folder that count; ``_cached`` knows each of them then, or ``parts``."""
        with reading(folder):
            changed = files.changed_ns(folder)
        known = self._folders.get(folder)
        if changed is not None and known is not None and known.changed == changed:
            return known.parts
        settled = changed is not None and time.time_ns() - changed > _SETTLED_NS
        if not files.is_remote(folder):
            sweep(folder)
        with reading(folder):
            sizes = files.list_sizes(folder)
        parts = []
        for name in sorted(sizes):
            part = folder / name.removesuffix(CHECKSUM)
            if name.endswith(CHECKSUM) and PART.fullmatch(part.name):
                try:
                    self._check(part, sizes.get(part.name), sizes[name])
                    parts.append(part)
                except DamagedShardError as error:
                    logger.warning("%s", error)
        self._folders[folder] = _Folder(changed if settled else None, parts)
        return parts

    def _check(self, part: Path, size: int | None, checksum: int) -> None:
        """Compare lengths, and read the ids of a part that is not known.

        Raises:
            DamagedShardError: if the part is damaged; it is set aside.
        """
        assert self._cached is not None  # noqa: S101 - refresh has loaded it
        known = self.parts.get(part) or self._cached.get(part)
        if known is None and size is not None:
            known = self._cached[part] = _read_facts(part, size)
            self._unsaved.add(part)
        if known is None or size != known.size:
            raise set_aside(part, "missing or not as long as its checksum file says")
        if checksum != checksum_size(part, known.size):
            raise set_aside(part, "its checksum file is damaged or gone")

    def add(self, part: Path, facts: PartFacts) -> None:
        """Take in a part that counts."""
        with self._lock:
            self.parts[part] = facts
            self._places |= {image_id: (part, row) for row, image_id in enumerate(facts.ids)}

    def note_written(self, part: Path, facts: PartFacts) -> None:
        """Take in a part that this process has just written."""
        with self._lock:
            self._unsaved.add(part)
            self.add(part, facts)

    def forget(self, part: Path) -> None:
        """Leave out a part that does not count any more."""
        with self._lock:
            self._unsaved.discard(part)
            self._stale |= self.parts.pop(part, None) is not None
            if part.parent in self._folders:
                self._folders[part.parent].changed = None

    def find(self, ids: Iterable[str]) -> tuple[dict[Path, dict[str, int]], list[str]]:
        """Find images among the parts that are known.

        Returns:
            Part -> id -> row; and the ids that are not there, sorted.
        """
        with self._lock:
            if self._stale:
                self._places = {i: (part, row) for part, facts in self.parts.items() for row, i in enumerate(facts.ids)}
                self._stale = False
            homes: dict[Path, dict[str, int]] = {}
            missing = []
            for image_id in dict.fromkeys(ids):
                if place := self._places.get(image_id):
                    homes.setdefault(place[0], {})[image_id] = place[1]
                else:
                    missing.append(image_id)
            return homes, sorted(missing)

    def _save(self) -> None:
        """Write the cache; a store that cannot be written works without."""
        known = self.parts.items()
        columns = {
            "part": [f"{part.parent.name}/{part.name}" for part, _ in known],
            "size": [facts.size for _, facts in known],
            "image_ids": [facts.ids for _, facts in known],
            "batch_sizes": [facts.batch_sizes for _, facts in known],
        }
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(columns, schema=_SCHEMA), sink, compression="zstd")
        content = sink.getvalue().to_pybytes()
        try:
            files.write(self.root / FILE, hashlib.sha256(content).digest() + content)
            self._unsaved.clear()
        except OSError as error:
            logger.info("%s: cannot be written (%s), so the next run opens every part for its ids", self.root, error)


def _read_facts(part: Path, size: int) -> PartFacts:
    stated, _ = read_checksum(part)
    if stated != size:
        raise set_aside(part, "missing or not as long as its checksum file says")
    table = read_rows(part, ["image_id", "batch_size"])
    return PartFacts(size, tuple(table["image_id"].to_pylist()), tuple(table["batch_size"].to_pylist()))


def _load(root: Path) -> dict[Path, PartFacts]:
    """Read the cache; empty if there is none, or if it is damaged."""
    file = root / FILE
    with reading(file):
        content = files.read(file)
    if not content:
        return {}
    digest, body = content[:_DIGEST], content[_DIGEST:]
    if hashlib.sha256(body).digest() != digest:
        logger.warning("%s: damaged; it is a cache and is made again", file)
        return {}
    table = pq.read_table(pa.BufferReader(body))
    if table.schema.names != _SCHEMA.names:  # another version of this software wrote it
        return {}
    lines = zip(*(table[name].to_pylist() for name in _SCHEMA.names), strict=True)
    return {root / part: PartFacts(size, tuple(ids), tuple(sizes)) for part, size, ids, sizes in lines}
