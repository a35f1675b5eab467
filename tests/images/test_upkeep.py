"""Upkeep of the image store, and its index: damage, kills between any two writes, full disks."""

import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from cultureclip.errors import ConfigurationError, DamagedShardError, StorageError
from cultureclip.images import parts, store_index
from cultureclip.images.store import ShardStore
from cultureclip.images.upkeep import collect, compact, repair

from .test_store import picture, record


@pytest.fixture
def store(tmp_path: Path) -> ShardStore:
    return ShardStore(tmp_path / "store")


def fill(store: ShardStore, count: int, shards: str = "ab") -> list[str]:
    """Parts of two images each."""
    records = {shard: [record(seed, shard) for seed in range(count)] for shard in shards}
    for shard, members in records.items():
        for start in range(0, count, 2):
            store.write_part(shard, members[start : start + 2])
    return sorted(r.image_id for members in records.values() for r in members)


def rows(store: ShardStore) -> dict[str, tuple]:
    """Every column of every image, the picture's bytes among them."""
    tables = [pq.read_table(part, partitioning=None) for part in sorted(store.root.glob("*/part-*.parquet"))]
    return {row["image_id"]: tuple(map(str, row.values())) for table in tables for row in table.to_pylist()}


def test_a_part_is_opened_once_and_a_folder_listed_only_after_a_change(store, monkeypatch):
    ids = fill(store, 6)
    for folder in store.root.glob("*/"):
        os.utime(folder, (time.time() - 60,) * 2)  # settled
    opened, listed = [], []
    read, scan = store_index.read_rows, store_index.sweep
    monkeypatch.setattr(store_index, "read_rows", lambda part, columns: opened.append(part) or read(part, columns))
    monkeypatch.setattr(store_index, "sweep", lambda folder: listed.append(folder) or scan(folder))
    first = ShardStore(store.root)
    assert first.present() == set(ids)
    assert (len(opened), len(listed)) == (6, 2)
    first.read(ids[:3]), first.checksums(ids), first.find_batch_sizes(), first.present(), first.find_missing(ids)
    assert (len(opened), len(listed)) == (6, 2)
    assert ShardStore(store.root).present() == set(ids)
    assert (len(opened), len(listed)) == (6, 4)  # the file knows the ids
    store.write_part("a", [record(99)])
    assert first.find_missing([record(99).image_id, "a0"]) == ["a0"]
    assert len(opened) == 7


@pytest.mark.parametrize("harm", [b"", b"nonsense" * 9, None])
def test_an_index_that_is_damaged_gone_or_of_another_time_is_made_again(store, harm):
    ids = fill(store, 6)
    assert ShardStore(store.root).present() == set(ids)
    file = store.root / store_index.FILE
    old = file.read_bytes()
    file.unlink() if harm is None else file.write_bytes(harm)
    again = ShardStore(store.root)
    assert (again.present(), again.find_batch_sizes()) == (set(ids), dict.fromkeys(ids, 4))
    for part in store.root.glob("a/part-*"):
        part.unlink()
    store.write_part("a", [record(77)])
    file.write_bytes(old)  # names parts that are gone, and lacks one
    assert ShardStore(store.root).present() == {i for i in ids if i[0] == "b"} | {record(77).image_id}


def test_rows_come_from_their_row_groups_only(store, monkeypatch):
    big = [record(seed, size=400) for seed in range(12)]  # 0.5 MB each
    part = store.write_part("a", big)
    assert pq.ParquetFile(part).num_row_groups >= 4
    content = bytearray(part.read_bytes())
    content[content.index(big[0].data) + 1000] ^= 1
    part.write_bytes(content)
    fresh = ShardStore(store.root)
    wanted = [big[place].image_id for place in (11, 5, 8)]
    for image, seed in zip(fresh.read(wanted).values(), (11, 5, 8), strict=True):
        assert np.array_equal(np.asarray(image), np.asarray(picture(seed, 400)))
    with pytest.raises(DamagedShardError, match="moved aside"):
        fresh.read([big[0].image_id])


def test_repair_saves_the_whole_pictures_of_a_damaged_part(store, caplog):
    big = [record(seed, size=400) for seed in range(8)]
    part = store.write_part("a", big)
    before = rows(store)
    content = bytearray(part.read_bytes())
    content[content.index(big[0].data) + 1000] ^= 1
    part.write_bytes(content)
    assert store.verify() == [part]
    done = repair(store)
    assert done.removed == 1 and 4 <= done.saved < 8
    assert not list(store.root.rglob("*.damaged"))
    left = ShardStore(store.root).present()
    assert len(left) == done.saved and big[0].image_id not in left
    assert rows(store) == {image_id: before[image_id] for image_id in left}
    assert repair(store).removed == 0


def test_repair_confirms_whole_parts_by_their_names_and_removes_rubble(store):
    ids = fill(store, 6, "a")
    lost, aside, rubble = sorted(store.root.glob("a/part-*.parquet"))
    parts.beside(lost, ".sha256").unlink()
    parts.beside(aside, ".sha256").write_text("nonsense")
    rubble.write_bytes(b"rubble")
    fresh = ShardStore(store.root)
    gone = set(pq.read_table(lost, partitioning=None)["image_id"].to_pylist())
    assert fresh.present() & gone == set()
    done = repair(fresh)
    assert (done.confirmed, done.saved, done.removed) == (2, 0, 1)
    assert len(fresh.present()) == len(ids) - 2
    assert fresh.verify() == []


def test_compaction_keeps_every_byte_of_images_and_readers_find_them(store):
    ids = fill(store, 20)
    before, reader = rows(store), ShardStore(store.root)
    reader.present()
    done = compact(store, 1 << 20)
    assert (done.before, done.after, done.moved) == (20, 2, 40)
    assert rows(store) == before
    assert list(reader.read(ids)) == ids  # its index named parts that are gone
    assert ShardStore(store.root).verify() == []
    again = compact(store, 1 << 20)
    assert (again.before, again.after, again.moved) == (2, 2, 0)
    with pytest.raises(ConfigurationError, match="positive"):
        compact(store, 0)


@pytest.mark.parametrize("action", ["compact", "collect"])
def test_killed_before_any_write_or_removal_no_image_is_lost(tmp_path, monkeypatch, action):
    class Killed(BaseException):
        pass

    write, remove, hits = parts._write, parts.remove, 0
    for moment in range(100):
        left, store = moment, ShardStore(tmp_path / str(moment))
        ids = fill(store, 6)
        listed = ids[::2]

        def dying(do):
            def step(*args):
                nonlocal left
                if left == 0:
                    raise Killed
                left -= 1
                do(*args)

            return step

        def run(store=store, listed=listed):
            if action == "compact":
                compact(store, 1 << 20)
            else:
                collect(store, listed, 0.0, delete=True)

        with monkeypatch.context() as patch:
            patch.setattr(parts, "_write", dying(write))
            patch.setattr(parts, "remove", dying(remove))
            try:
                run()
                ended = True
            except Killed:
                hits, ended = hits + 1, False
        keep = ids if action == "compact" else listed
        assert set(keep) <= ShardStore(store.root).present()
        run(ShardStore(store.root))
        fresh = ShardStore(store.root)
        assert fresh.present() == set(keep) and list(fresh.read(keep)) == keep
        if ended:
            break
    assert ended and hits >= 8


def test_collect_counts_first_spares_the_young_and_removes_what_nobody_lists(store):
    ids = fill(store, 8)
    before = rows(store)
    listed = ids[:5]
    assert collect(store, listed, 3600, delete=True).images == 0
    counted = collect(store, listed, 0.0, delete=False)
    assert counted.images == len(ids) - 5 and counted.size > 0
    assert ShardStore(store.root).present() == set(ids)
    assert collect(store, listed, 0.0, delete=True) == counted
    assert rows(store) == {image_id: before[image_id] for image_id in listed}
    assert ShardStore(store.root).present() == set(listed)


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_stops_a_compaction_and_every_image_stays(small_disk):
    store = ShardStore(small_disk / "store")
    made = [record(seed, size=300) for seed in range(5)]  # 0.27 MB each
    for part in (made[:2], made[2:]):
        store.write_part("a", part)
    with pytest.raises(StorageError, match="No space left on device"):
        compact(store, 4 << 20)
    assert ShardStore(store.root).present() == {r.image_id for r in made}
    assert not list(store.root.rglob("*.tmp"))


def test_a_full_disk_stops_a_repair_and_the_damaged_part_stays(small_disk):
    store = ShardStore(small_disk / "store")
    made = [record(seed, size=300) for seed in range(5)]
    part = store.write_part("a", made)
    content = bytearray(part.read_bytes())
    content[content.index(made[-1].data) + 1000] ^= 1
    part.write_bytes(content)
    assert store.verify() == [part]
    with pytest.raises(StorageError, match="No space left on device"):
        repair(store)
    assert parts.beside(part, ".damaged").read_bytes() == bytes(content)


def test_hugging_face_datasets_opens_the_whole_store(store, tmp_path):
    datasets = pytest.importorskip("datasets")
    ids = fill(store, 4)
    compact(store, 1 << 20)
    table = datasets.load_dataset(
        "parquet", data_files=f"{store.root}/*/part-*.parquet", split="train", cache_dir=str(tmp_path / "cache")
    )
    assert sorted(table["image_id"]) == ids
    assert table[0]["image"].size == (8, 8)
