"""Pictures of imported rows: named by their content, then decoded and stored part by part, in the order of their ids.

A store is read in the order of ids, so pictures whose ids are neighbours belong into one part. The owner's order is
another. So every file is hashed first, as the rows come, and decoded later, as the ids come.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from threading import Lock
from typing import BinaryIO

import numpy as np

from cultureclip.benchmarks.pictures import FileIn, Slice
from cultureclip.engine.disk import cannot_write
from cultureclip.engine.files import is_remote
from cultureclip.engine.progress import progress_bar
from cultureclip.engine.temporary import remove, sweep, temporary_beside
from cultureclip.errors import SourceDataError
from cultureclip.exchange.settings import StoreSettings
from cultureclip.ids import bytes_digest, digest
from cultureclip.images.records import ImageRecord, keep_file
from cultureclip.images.store import ShardStore
from cultureclip.reading.pictures import Encoded, ImageError, decode_image

_WORKERS = 4
"""Threads: hashing and decoding release Python's lock, and reading waits for the disk."""


@dataclass(frozen=True)
class Picture:
    """A picture's file, not decoded yet.

    Attributes:
        image_id: The owner's id, or one from the content.
        sha256: Digest of the file.
        where: Where the file can be read again, in any order.
    """

    image_id: str
    sha256: str
    where: Encoded


class Spool:
    """Copies, for the time of a run, of files that can only be read from front to back, such as those inside parquet.

    Args:
        handle: An open file.
        path: Its path.
    """

    def __init__(self, handle: BinaryIO, path: Path) -> None:
        self._handle, self._path = handle, path
        self._lock = Lock()
        self._known: dict[str, Slice] = {}

    def look(self, where: Encoded, given: str) -> Picture:
        """Read and hash a file, and copy it if it must be.

        Args:
            where: The file.
            given: The owner's id; empty where there is none.

        Raises:
            ImageError: if there is no file, or it must not be read.
            StorageError: if the copy cannot be written.
        """
        data = where.read()
        sha256 = bytes_digest(data)
        again = where if isinstance(where, FileIn | Slice) else self._copy(sha256, data)
        return Picture(given or digest("imported image", sha256), sha256, again)

    def _copy(self, sha256: str, data: bytes) -> Slice:
        with self._lock:
            if sha256 not in self._known:
                try:
                    start = self._handle.tell()
                    self._handle.write(data)
                    self._handle.flush()  # it is read by its path
                except OSError as error:
                    raise cannot_write(self._path, error) from error
                self._known[sha256] = Slice(self._path, start, len(data))
            return self._known[sha256]


@contextmanager
def spooling(store: ShardStore) -> Iterator[Spool]:
    """Give a spool for the block: beside the store's parts, where there is room; of an object store, here."""
    place = Path(gettempdir()) if is_remote(store.root) else store.root
    path = temporary_beside(place / "spool")
    try:
        place.mkdir(parents=True, exist_ok=True)
        sweep(place, "spool")
        handle = path.open("wb")
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        with handle:
            yield Spool(handle, path)
    finally:
        remove(path)


@dataclass(frozen=True)
class Stored:
    """What became of the pictures.

    Attributes:
        failed: Image id -> why it cannot be used.
        added: Number of pictures that the store lacked.
        converted: Number of these that were written as PNG.
    """

    failed: dict[str, str]
    added: int
    converted: int


def store_pictures(pictures: Mapping[str, Picture], store: ShardStore, settings: StoreSettings) -> Stored:
    """Decode the pictures that the store lacks, and write them part by part: what a killed run has stored is kept.

    Args:
        pictures: Image id -> picture.
        store: Where they go.
        settings: Sizes of parts and shards.

    Raises:
        SourceDataError: if the store has another picture under an id, or a file changed while it was read.
        StorageError: if the disk is full.
    """
    present = store.present() & pictures.keys()
    _check_same([pictures[image] for image in sorted(present)], store)
    missing = sorted(pictures.keys() - present)
    failed: dict[str, str] = {}
    added = converted = 0
    with ThreadPoolExecutor(_WORKERS) as pool, progress_bar(total=len(missing), desc="store pictures") as progress:
        for shard, part in _parts(missing, settings):
            results = dict(zip(part, pool.map(_encode, [pictures[image] for image in part]), strict=True))
            records = [result for result in results.values() if isinstance(result, ImageRecord)]
            failed |= {image: result for image, result in results.items() if isinstance(result, str)}
            if records:
                store.write_part(shard, records)
            added += len(records)
            converted += sum(record.sha256 != pictures[record.image_id].sha256 for record in records)
            progress.update(len(part))
    return Stored(failed, added, converted)


def _parts(ids: Sequence[str], settings: StoreSettings) -> Iterator[tuple[str, list[str]]]:
    """Yield (shard, neighbouring ids) of every part to be written."""
    part: list[str] = []
    for image in ids:
        if part and (len(part) == settings.part_size or not image.startswith(part[0][: settings.shard_digits])):
            yield part[0][: settings.shard_digits], part
            part = []
        part.append(image)
    if part:
        yield part[0][: settings.shard_digits], part


def _encode(picture: Picture) -> ImageRecord | str:
    try:
        return keep_file(picture.image_id, _read_again(picture))
    except ImageError as error:
        return str(error)


def _read_again(picture: Picture) -> bytes:
    data = picture.where.read()
    if bytes_digest(data) != picture.sha256:
        raise SourceDataError(picture.where, "the file changed while it was imported", "Import again, and leave it be")
    return data


def _check_same(pictures: Sequence[Picture], store: ShardStore) -> None:
    """Make sure that pictures with an owner's id are those that the store has under it.

    Raises:
        SourceDataError: if one is another picture.
    """
    recorded = store.checksums([picture.image_id for picture in pictures]) if pictures else {}
    for picture in pictures:
        own = digest("imported image", picture.sha256)
        if picture.sha256 == recorded[picture.image_id] or picture.image_id == own:
            continue
        try:
            pixels = np.asarray(decode_image(_read_again(picture)))
        except ImageError:
            pixels = np.zeros(0)
        stored = store.read([picture.image_id])[picture.image_id]
        if not np.array_equal(pixels, np.asarray(stored.convert("RGB"))):
            cause = f"the store has another picture under this id than {picture.where}"
            remedy = "Import it in an environment with a data root of its own, or leave the owner's ids out"
            raise SourceDataError(f"image {picture.image_id}", cause, remedy)
