"""The engine on Ray: the same items and errors as from other kinds, and actors that die."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cultureclip.engine.settings import HERE, EngineSettings
from cultureclip.engine.status import read_jobs
from cultureclip.errors import JobError, StorageError
from cultureclip.images.generation import generate_missing
from cultureclip.images.requests import plan_requests, read_recipe
from cultureclip.images.store import ShardStore
from tests.support.captions import caption_table
from tests.support.jobs import calls, run_files
from tests.support.tiny_models import tiny_settings, write_tiny_sd3

ray = pytest.importorskip("ray")
IDS = [f"{number:03}" for number in range(40)]


@pytest.fixture(scope="module", autouse=True)
def ended_ray() -> Iterator[None]:
    yield
    ray.shutdown()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "files"


def engine(tmp_path: Path, **changes: Any) -> EngineSettings:
    return EngineSettings(
        kind="ray", journal=tmp_path / "jobs", **{"workers": 2, "silent_s": 5.0, "threads": 1} | changes
    )


def files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob("[0-9]*")}


def test_actors_do_every_item_once_and_the_journal_says_so(folder, tmp_path):
    assert run_files(folder, engine(tmp_path, workers=7)) == len(IDS)
    assert calls(folder) == IDS
    assert files(folder) == {item: item for item in IDS}
    (progress,) = read_jobs(tmp_path / "jobs")
    assert (progress.done, progress.items, progress.workers, progress.failed) == (40, 40, 0, 0)


@pytest.mark.parametrize("deed", ["dies", "hangs"])
def test_an_actor_that_dies_or_hangs_costs_only_its_slice(folder, tmp_path, deed):
    Path(f"{folder}.{deed}").write_text("013")
    run_files(folder, engine(tmp_path, silent_s=3.0))
    assert files(folder) == {item: item for item in IDS}
    assert {item for item, count in Counter(calls(folder)).items() if count > 1} <= {"012", "013", "014", "015"}


def test_actors_store_the_bytes_that_one_process_stores(tmp_path):
    settings = tiny_settings(write_tiny_sd3(tmp_path / "model"), batch_size=2, part_size=4)
    texts = [f"a red kimono with {count} white cranes" for count in range(6)]
    requests = plan_requests(caption_table(texts), read_recipe(settings), images_per_caption=4, shard_digits=1)
    stores = [ShardStore(tmp_path / name) for name in ("here", "there")]
    for store, kind in zip(stores, (HERE, engine(tmp_path)), strict=True):
        assert generate_missing(requests, store, settings, kind).generated == len(requests)
    here, there = ({p.name: p.read_bytes() for p in store.root.glob("*/*") if p.is_file()} for store in stores)
    assert here == there


def test_failures_and_full_disks_end_the_run_as_in_this_process(folder, tmp_path):
    Path(f"{folder}.fails").write_text("013")
    with pytest.raises(JobError, match="ZeroDivisionError: division by zero"):
        run_files(folder, engine(tmp_path))
    assert len(files(folder)) == 36 + 1
    Path(f"{folder}.full").write_text("014")
    with pytest.raises(StorageError, match="Free disk space"):
        run_files(folder, engine(tmp_path, retry="failed"))
    run_files(folder, engine(tmp_path))
    assert files(folder) == {item: item for item in IDS}
