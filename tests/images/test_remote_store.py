"""The image store in an object store: the same parts as on a disk, faults of the network, and what travels."""

from pathlib import Path

import numpy as np
import pytest

from cultureclip.datasets.image_store_dataset import ImageStoreDataset
from cultureclip.datasets.shard_store_dataset import ShardStoreDataset
from cultureclip.engine.settings import EngineSettings
from cultureclip.errors import DamagedShardError, MissingInputError, StorageError
from cultureclip.images.generation import generate_missing
from cultureclip.images.store import ImageSet, ShardStore
from cultureclip.images.upkeep import collect, compact, repair
from tests.support.tiny_models import tiny_settings

from .test_store import picture, record


@pytest.fixture
def root(bucket: str) -> str:
    return f"{bucket}/images"


def objects(store: ShardStore) -> dict[str, bytes]:
    """Every object of the store but the cache, by its path below the root."""
    fs, place = store.root.fs, store.root.path
    found = {name.removeprefix(f"{place}/"): fs.cat_file(name) for name in fs.find(place)}
    return {name: content for name, content in found.items() if name != ".index"}


def on_disk(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.glob("*/*") if path.is_file()}


class Traffic:
    """Counts the bytes that a file system fetches."""

    def __init__(self, store: ShardStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fetched = 0
        real = store.root.fs.cat_file
        monkeypatch.setattr(store.root.fs, "cat_file", lambda *given, **named: self.count(real(*given, **named)))

    def count(self, content: bytes) -> bytes:
        self.fetched += len(content)
        return content


@pytest.mark.parametrize("address", ["s3", "memory"])
def test_objects_are_the_files_that_a_disk_gets_and_are_read_back(address, request, tmp_path):
    store = ShardStore(request.getfixturevalue("root") if address == "s3" else f"memory://{tmp_path.name}/images")
    here = ShardStore(tmp_path / "store")
    for shard, seeds in (("a", (0, 1, 2)), ("a", (3,)), ("b", (4, 5))):
        for each in (store, here):
            each.write_part(shard, [record(seed, shard) for seed in seeds])
    assert objects(store) == on_disk(here.root)
    fresh = ShardStore(store.root)
    ids = [record(5, "b").image_id, record(0).image_id, record(3).image_id]
    assert fresh.present() == here.present()
    assert fresh.find_missing([*ids, "a0"]) == ["a0"]
    for image, seed in zip(ImageSet(fresh, ids).read(ids), (5, 0, 3), strict=True):
        assert np.array_equal(np.asarray(image), np.asarray(picture(seed)))
    assert fresh.checksums(ids) == here.checksums(ids)
    assert fresh.record(ids[0]) == here.record(ids[0])
    with pytest.raises(MissingInputError, match="a0"):
        fresh.read(["a0"])


def test_of_a_part_only_what_is_read_travels(root, monkeypatch):
    store = ShardStore(root)
    part = store.write_part("a", [record(seed, size=400) for seed in range(24)])
    whole, fresh = part.stat().st_size, ShardStore(root)
    assert whole > 8_000_000
    assert len(fresh.present()) == 24
    traffic = Traffic(fresh, monkeypatch)
    fresh.checksums([record(5).image_id])
    assert traffic.fetched < 200_000
    assert np.array_equal(
        np.asarray(fresh.read([record(5).image_id])[record(5).image_id]), np.asarray(picture(5, size=400))
    )
    assert traffic.fetched < whole / 3


def test_another_run_finds_the_index_and_opens_no_part(root, monkeypatch):
    store = ShardStore(root)
    for seed in range(4):
        store.write_part("a", [record(seed)])
    assert len(ShardStore(root).present()) == 4
    fresh = ShardStore(root)
    monkeypatch.setattr("cultureclip.images.store_index.read_rows", None)
    assert fresh.present() == store.present()


def test_damage_is_found_named_and_repaired(root):
    store = ShardStore(root)
    pairs = [[record(seed, size=700) for seed in (2 * n, 2 * n + 1)] for n in range(3)]  # a row group each
    parts = [store.write_part("a", pair) for pair in pairs]
    fs = store.root.fs
    content = bytearray(fs.cat_file(parts[1].path))
    content[content.index(b"IDAT") + 20] ^= 1
    fs.pipe_file(parts[1].path, bytes(content))
    fs.pipe_file(parts[2].path, fs.cat_file(parts[2].path)[:-9])
    fresh = ShardStore(root)
    assert fresh.present() == {record(seed).image_id for seed in range(4)}
    with pytest.raises(DamagedShardError, match=parts[1].name):
        fresh.read([record(2).image_id, record(3).image_id])
    assert fresh.verify() == []
    assert fresh.present() == {record(seed).image_id for seed in range(2)}
    assert sorted(path.name for path in fresh.find_set_aside()) == sorted(f"{part.name}.damaged" for part in parts[1:])
    done = repair(fresh)
    assert (done.removed, done.saved) == (2, 1)
    assert not fresh.find_set_aside()
    (saved,) = fresh.read([record(3).image_id]).values()
    assert np.array_equal(np.asarray(saved), np.asarray(picture(3, size=700)))


def test_a_part_that_nobody_confirmed_does_not_count_until_it_is_repaired(root):
    store = ShardStore(root)
    part = store.write_part("a", [record(1)])
    store.root.fs.rm_file(f"{part.path}.sha256")
    fresh = ShardStore(root)
    assert fresh.present() == set() and fresh.find_unconfirmed() == [part]
    assert repair(fresh).confirmed == 1
    assert ShardStore(root).present() == {record(1).image_id}


def test_upkeep_merges_parts_and_removes_what_nobody_lists(root):
    store = ShardStore(root)
    for seed in range(6):
        store.write_part("a", [record(seed)])
    assert compact(store, 1 << 20).after == 1
    listed = {record(seed).image_id for seed in range(4)}
    assert collect(store, listed, 3600.0, delete=True).images == 0, "the part is young"
    assert collect(store, listed, -60.0, delete=True).images == 2
    assert ShardStore(root).present() == listed
    assert ShardStore(root).verify() == []


def test_a_store_that_cannot_be_reached_loses_no_part(root, monkeypatch):
    store = ShardStore(root)
    store.write_part("a", [record(1), record(2)])
    before, fresh = objects(store), ShardStore(root)
    assert len(fresh.present()) == 2

    def fail(*_given, **_named):
        raise ConnectionResetError("the store hung up")

    for name in ("cat_file", "ls", "pipe_file"):
        with monkeypatch.context() as patch:
            patch.setattr(fresh.root.fs, name, fail)
            with pytest.raises(StorageError, match="the store hung up"):
                fresh.read([record(1).image_id])
                fresh.present()
                fresh.write_part("a", [record(3)])
    assert objects(store) == before
    assert len(fresh.read([record(1).image_id])) == 1


def test_a_refused_request_says_so_and_is_no_damage(root, monkeypatch):
    store = ShardStore(root)
    store.write_part("a", [record(1)])

    def refuse(*_given, **_named):
        raise PermissionError("Access Denied")

    monkeypatch.setattr(store.root.fs, "cat_file", refuse)
    with pytest.raises(StorageError, match="Access Denied"):
        store.read([record(1).image_id])
    assert store.find_set_aside() == []


def test_synthesis_stores_there_what_it_stores_here_from_any_number_of_workers(root, tiny_sd3, requests, tmp_path):
    settings = tiny_settings(tiny_sd3, batch_size=2, part_size=4)
    here, there = ShardStore(tmp_path / "store"), ShardStore(root)
    engine = EngineSettings(kind="pool", workers=2, threads=1, journal=root.replace("/images", "/jobs"))
    assert generate_missing(requests, here, settings).generated == len(requests)
    assert generate_missing(requests, there, settings, engine).generated == len(requests)
    assert objects(there) == on_disk(here.root)
    assert generate_missing(requests, ShardStore(root), settings).generated == 0


def test_the_catalog_takes_an_address(root, tmp_path):
    store = ImageStoreDataset(filepath=root).load()
    store.write_part("a", [record(1), record(2)])
    manifest = ShardStoreDataset(filepath=str(tmp_path / "images.json"), store={"filepath": root})
    manifest.save([record(1).image_id])
    assert manifest.is_over(store.root) and not manifest.is_over(Path("images"))
    (image,) = manifest.load().read()
    assert np.array_equal(np.asarray(image), np.asarray(picture(1)))
