"""Upkeep of an image store: save what is whole in damaged parts, merge small parts, remove images that nobody lists.

Each operation writes what it keeps before it removes anything: a process that is killed leaves an image twice, never
not at all, and the same command goes on.
"""

import logging
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cultureclip.engine import files
from cultureclip.engine.progress import progress_bar
from cultureclip.errors import ConfigurationError, DamagedImageError, DamagedShardError
from cultureclip.ids import bytes_digest
from cultureclip.images import parts
from cultureclip.images.parts import CHECKSUM, DAMAGED, PART
from cultureclip.images.records import SCHEMA
from cultureclip.images.store import ShardStore

logger = logging.getLogger(__name__)


@dataclass
class Repaired:
    """Counts of a repair: parts confirmed as they are, pictures saved from damaged parts, damaged parts removed."""

    confirmed: int = 0
    saved: int = 0
    removed: int = 0


@dataclass
class Compacted:
    """Counts of a compaction: parts before and after it, and pictures that were moved."""

    before: int = 0
    after: int = 0
    moved: int = 0


@dataclass
class Collected:
    """Pictures that no list names: their number, their parts, and the bytes of the pictures."""

    images: int = 0
    parts: int = 0
    size: int = 0


def repair(store: ShardStore) -> Repaired:
    """Confirm whole parts that have no checksum file, and save the whole pictures of parts that were set aside.

    A part's name is the hash of its bytes, so that a whole part is recognised without its checksum file. From another
    part each picture is taken that matches its recorded SHA-256; then the damaged file is removed. Pictures that are
    lost count as missing: synthesis generates them again.

    Raises:
        StorageError: if the disk fails or is full; the damaged parts that are left stay.
    """
    done = Repaired()
    suspects = [*store.find_set_aside(), *store.find_unconfirmed()]
    for file in progress_bar(sorted(suspects), desc="repair", unit="part"):
        part = file.with_name(file.name.removesuffix(DAMAGED))
        match = PART.fullmatch(part.name)
        if match is None:
            continue
        with parts.reading(file):
            content = files.read(file) or b""
        if bytes_digest(content).startswith(match[1]):
            if file != part:
                files.move(file, part)
            parts.confirm(part, content)
            done.confirmed += 1
        else:
            table = _save_rows(file)
            if len(table):
                store.write_table(part.parent.name, table)
            logger.warning("%s: %d whole pictures were stored again; the damaged part is removed", file, len(table))
            done.saved += len(table)
            done.removed += 1
            files.remove(file)
        files.remove(parts.beside(parts.beside(part, CHECKSUM), DAMAGED))
    store.index.refresh()
    return done


def _save_rows(file: Path) -> pa.Table:
    """Return the rows of a damaged part whose pictures are as they were stored."""
    rows: list[dict[str, object]] = []
    for group in _readable_groups(file):
        for row in group.to_pylist():
            try:
                parts.check_picture(file, row["image_id"], row)
                rows.append(row)
            except DamagedImageError as error:
                logger.warning("%s", error)
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _readable_groups(file: Path) -> Iterator[pa.Table]:
    try:
        with parts.reading(file), parts.open_parquet(file) as parquet:
            for group in range(parquet.num_row_groups):
                try:
                    table = parquet.read_row_group(group)
                    if table.schema.equals(SCHEMA):
                        yield table
                except parts.UNREADABLE as error:
                    logger.warning("%s: row group %d cannot be read (%s)", file, group, error)
    except parts.UNREADABLE as error:
        logger.warning("%s: no row can be read (%s)", file, error)


def compact(store: ShardStore, part_bytes: int) -> Compacted:
    """Merge the small parts of each shard into parts of about ``part_bytes``, with their rows in the order of ids.

    A part is small when it has less than half of that. Pictures and records keep their bytes. Readers and writers may
    be at work: a reader that finds a part gone looks for its images again.

    Args:
        store: The store.
        part_bytes: Bytes per part; about three times as many are held in memory.

    Raises:
        ConfigurationError: if ``part_bytes`` is not positive.
        StorageError: if the disk fails or is full; all images stay.
    """
    if part_bytes < 1:
        raise ConfigurationError("part_bytes", f"it is {part_bytes}", "Give a positive number of bytes")
    store.index.refresh()
    done = Compacted(before=len(store.index.parts))
    for run in progress_bar(list(_runs(store, part_bytes)), desc="compact", unit="part"):
        tables = []
        for part in run:
            try:
                tables.append((part, pq.read_table(pa.BufferReader(parts.read_whole(part)))))
            except DamagedShardError as error:
                logger.warning("%s", error)
                store.index.forget(part)
        if len(tables) > 1:
            merged = _sorted_once(pa.concat_tables([table for _, table in tables]))
            kept = store.write_table(run[0].parent.name, merged)
            done.moved += len(merged)
            for part, _ in tables:
                if part != kept:
                    parts.remove(part)
                    store.index.forget(part)
    store.index.refresh()
    done.after = len(store.index.parts)
    return done


def _runs(store: ShardStore, part_bytes: int) -> Iterator[list[Path]]:
    """Yield the parts to be merged: neighbours by their first id, of one shard, of ``part_bytes`` together."""
    small = {part: facts for part, facts in store.index.parts.items() if facts.size * 2 < part_bytes}
    run: list[Path] = []
    size = 0
    for part in sorted(small, key=lambda part: (part.parent, small[part].ids, part)):
        if run and (run[0].parent != part.parent or size + small[part].size > part_bytes):
            yield run
            run, size = [], 0
        run.append(part)
        size += small[part].size
    yield run


def _sorted_once(table: pa.Table) -> pa.Table:
    """Return each image's row once, in the order of ids."""
    ids = table["image_id"].to_pylist()
    first = {image_id: place for place, image_id in reversed(list(enumerate(ids)))}
    return table.take([first[image_id] for image_id in sorted(first)])


def collect(store: ShardStore, keep: Collection[str], min_age_s: float, *, delete: bool) -> Collected:
    """Find images that are on no list, or remove them.

    Args:
        store: The store.
        keep: Ids that stay: those of all manifests over the store.
        min_age_s: Parts that are younger stay: a run lists its images at its end.
        delete: Remove them; otherwise they are counted.

    Raises:
        StorageError: if the disk fails or is full; images that are listed stay.
    """
    store.index.refresh()
    wanted, done = set(keep), Collected()
    for part, facts in progress_bar(list(store.index.parts.items()), desc="collect", unit="part"):
        foreign = [image_id for image_id in facts.ids if image_id not in wanted]
        with parts.reading(part):
            young = time.time() - files.written_s(part) < min_age_s
        if young or not foreign:
            continue
        try:
            table = pq.read_table(pa.BufferReader(parts.read_whole(part)))
        except DamagedShardError as error:
            logger.warning("%s", error)
            store.index.forget(part)
            continue
        unlisted = pc.is_in(table["image_id"], value_set=pa.array(foreign))
        done.images += len(foreign)
        done.parts += 1
        done.size += sum(map(len, pc.struct_field(table.filter(unlisted)["image"], "bytes").to_pylist()))
        if delete:
            if len(foreign) < len(facts.ids):
                store.write_table(part.parent.name, table.filter(pc.invert(unlisted)))
            parts.remove(part)
            store.index.forget(part)
    return done
