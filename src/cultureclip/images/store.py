"""A content-addressed store of images in shards, safe against ``kill -9``, full disks and two writers at once.

It lies on a disk or in an object store (:mod:`cultureclip.engine.files`).

Layout: ``<root>/<shard>/part-<hash of its bytes>.parquet`` and, written last, ``part-….parquet.sha256``. A part counts
only when its checksum file exists and matches. Parts never change, so they are read without locks. ``<root>/.index``
is a cache of what is where (:mod:`cultureclip.images.store_index`).
"""

import logging
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from cultureclip.engine.files import list_folders, list_names, open_place
from cultureclip.engine.progress import progress_bar
from cultureclip.errors import DamagedImageError, DamagedShardError, MissingInputError, SourceDataError
from cultureclip.images import parts
from cultureclip.images.parts import CHECKSUM, DAMAGED, PART, REMEDY
from cultureclip.images.records import FACTS, ImageRecord, decode_image, to_table
from cultureclip.images.store_index import PartFacts, StoreIndex

logger = logging.getLogger(__name__)


class ShardStore:
    """Images by id.

    Args:
        root: Folder of the store, or its address in an object store; created at the first write.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = open_place(root)
        self.index = StoreIndex(self.root)

    def __reduce__(self) -> tuple[type["ShardStore"], tuple[Path]]:
        """Pickle the place alone: each process has an index of its own."""
        return type(self), (self.root,)

    def present(self) -> set[str]:
        """Return the ids of all images in parts that count.

        Sizes are compared, bytes are not (see :meth:`verify`). A part of wrong size, or whose ids cannot be read, is
        named in the log and moved aside, so that its images count as missing.

        Raises:
            StorageError: if the disk fails; nothing is moved then.
        """
        self.index.refresh()
        return {image_id for facts in self.index.parts.values() for image_id in facts.ids}

    def find_missing(self, ids: Sequence[str]) -> list[str]:
        """Return those of the ids that are in no part that counts, sorted; errors as :meth:`present`."""
        self.index.refresh()
        return self.index.find(ids)[1]

    def verify(self) -> list[Path]:
        """Compare every part with its checksum and move damaged ones aside.

        Returns:
            The damaged parts' paths.
        """
        self.index.refresh()
        damaged = []
        for part in progress_bar(list(self.index.parts), desc="verify", unit="part"):
            try:
                parts.read_whole(part)
            except DamagedShardError as error:
                logger.warning("%s", error)
                self.index.forget(part)
                damaged.append(part)
        return damaged

    def find_unconfirmed(self) -> list[Path]:
        """Find parts that do not count because they have no checksum file, and name them in the log.

        They stay where they are: a writer may be about to confirm them.
        """
        found = []
        for folder, names in self._list():
            found += [folder / name for name in names if PART.fullmatch(name) and f"{name}{CHECKSUM}" not in names]
        for part in found:
            cause = "no checksum file (a writer was stopped, or the file was deleted), so none of its images counts"
            logger.warning("%s: %s. %s, or confirm whole parts: kedro store repair", part, cause, REMEDY)
        return found

    def find_set_aside(self) -> list[Path]:
        """Find the damaged parts that were moved aside."""
        return [
            folder / name for folder, names in self._list() for name in names if name.endswith(f".parquet{DAMAGED}")
        ]

    def _list(self) -> Iterator[tuple[Path, list[str]]]:
        """Yield the folders of the shards, and the names of the files in each."""
        with parts.reading(self.root):
            for folder in list_folders(self.root):
                yield folder, sorted(list_names(folder))

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
        return self.write_table(shard, to_table(records))

    def write_table(self, shard: str, table: pa.Table) -> Path:
        """Store rows that were read from this store as one part; errors as :meth:`write_part`."""
        part, size = parts.write_part(self.root / shard, table)
        ids, sizes = (tuple(table[name].to_pylist()) for name in ("image_id", "batch_size"))
        self.index.note_written(part, PartFacts(size, ids, sizes))
        return part

    def read(self, ids: Sequence[str]) -> dict[str, Image.Image]:
        """Decode images, in the order of ``ids``; each is compared with its checksum. Other rows are not read.

        Raises:
            MissingInputError: if an id is not in the store.
            DamagedShardError: if what is read of a part does not match its checksums.
            StorageError: if a part cannot be read.
            DamagedImageError: if a picture does not match its record.
        """
        found: dict[str, Image.Image] = {}
        for part, image_id, row in self._rows(ids, ["image_id", "image", "width", "height", "sha256"]):
            data = parts.check_picture(part, image_id, row)
            try:
                found[image_id] = decode_image(data, (row["width"], row["height"]))
            except ValueError as error:
                raise DamagedImageError(part, f"image {image_id}: {error}", f"Delete it. {REMEDY}") from error
        return {image_id: found[image_id] for image_id in ids}

    def record(self, image_id: str) -> ImageRecord:
        """Return a picture's file, compared with its checksum, and its record; errors as :meth:`read`."""
        facts = [name for name in FACTS if name != "image_id"]
        ((part, _, row),) = self._rows([image_id], ["image_id", "image", *facts])
        data = parts.check_picture(part, image_id, row)
        return ImageRecord(image_id, data, **{name: row[name] for name in facts})

    def checksums(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the SHA-256 of pictures from their records, in the order of ``ids``; no picture is read or compared.

        Raises:
            MissingInputError: if an id is not in the store.
            DamagedShardError: if a part is not a whole parquet file.
        """
        found = {image_id: row["sha256"] for _, image_id, row in self._rows(ids, ["image_id", "sha256"])}
        return {image_id: found[image_id] for image_id in ids}

    def find_batch_sizes(self) -> dict[str, int]:
        """Return the batch size of every picture in the parts that counted at the last look; no part is opened."""
        found: dict[str, int] = {}
        for facts in self.index.parts.values():
            found.update(zip(facts.ids, facts.batch_sizes, strict=True))
        return found

    def _rows(self, ids: Sequence[str], columns: list[str]) -> Iterator[tuple[Path, str, dict[str, Any]]]:
        """Yield part, id and row of each image, part by part."""
        for part, rows in self._homes(ids).items():
            try:
                table = parts.read_rows(part, columns, list(rows.values()))
            except FileNotFoundError:  # another process merged it into a new part, or removed it
                self.index.forget(part)
                yield from self._rows(list(rows), columns)
                continue
            except DamagedShardError:
                self.index.forget(part)
                raise
            for image_id, row in zip(rows, table.to_pylist(), strict=True):
                yield part, image_id, row

    def _homes(self, ids: Sequence[str]) -> dict[Path, dict[str, int]]:
        """Return each part that holds some of the ids, and their rows; folders are listed only if an id is unknown."""
        homes, missing = self.index.find(ids)
        if missing:
            self.index.refresh()
            homes, missing = self.index.find(ids)
        if missing:
            cause = f"{len(missing)} of {len(set(ids))} images are not stored, first {missing[0]}"
            raise MissingInputError(self.root, cause, REMEDY)
        return dict(sorted(homes.items()))


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
        if foreign := [] if ids is None else [image_id for image_id in wanted if not self._has(image_id)]:
            raise MissingInputError(f"image {min(foreign)}", "not in this version of the images", REMEDY)
        return wanted

    def _has(self, image_id: str) -> bool:
        place = bisect_left(self.ids, image_id)
        return place < len(self.ids) and self.ids[place] == image_id
