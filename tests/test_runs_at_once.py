"""Several runs at once: in one process, under Kedro's runners, and beside a run of another process."""

import errno
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from kedro.framework.session import KedroServiceSession, KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io.core import generate_timestamp
from kedro.runner import ParallelRunner, ThreadRunner

from cultureclip.datasets.versions import WholeVersions
from cultureclip.engine.temporary import temporary_beside
from cultureclip.errors import ConfigurationError, MissingInputError, StorageError

from .judging.conftest import judge_path  # noqa: F401 - a fixture
from .test_hooks import ROOT, VERSION, Workplace, place  # noqa: F401 - a fixture

LATER = "2026-02-01T00.00.00.000Z"


def run(workplace: Workplace, judge: Path, runner: Any = None, **parameters: Any) -> None:
    bootstrap_project(ROOT)
    given = {"filtering": {"judge": str(judge), **parameters}}
    with KedroSession.create(ROOT, conf_source=str(workplace.conf), runtime_params=given) as session:
        session.run(pipeline_names=["filtering"], runner=runner)


def put_later_twins(workplace: Workplace, run_id: str = LATER) -> Path:
    """Put a copy of the twins there as another run's version."""
    (first,) = (workplace.data / "03_primary/twins.parquet").glob("*/twins.parquet")
    later = first.parents[1] / run_id / first.name
    later.parent.mkdir()
    shutil.copy(first, later)
    return later


def mark_in_progress(workplace: Workplace, code: str = "") -> Path:
    folder = workplace.data / "08_reporting/run_manifest.json"
    folder.mkdir(parents=True, exist_ok=True)
    if not code:
        mark = temporary_beside(folder / LATER)
        mark.touch()
        return mark
    subprocess.run([sys.executable, "-c", code, str(folder / LATER)], check=True)
    (mark,) = folder.glob(f".{LATER}*")
    return mark


def test_two_runs_at_once_in_one_process_keep_their_own_parameters_and_versions(place, judge_path):  # noqa: F811
    place.fill()
    bootstrap_project(ROOT)
    session = KedroServiceSession.create(project_path=ROOT, conf_source=str(place.conf), serving_mode=True)
    ids = {f"2026-11-0{n}T00.00.00.000Z": n for n in (1, 2, 3)}

    def work(run_id: str, least: int) -> None:
        given = {"filtering": {"judge": str(judge_path), "min_images_per_side": least}}
        session.run(run_id=run_id, pipeline_names=["filtering"], runtime_params=given)

    with ThreadPoolExecutor(len(ids)) as pool:
        for done in [pool.submit(work, *item) for item in ids.items()]:
            done.result()
    manifests = {manifest["run_id"]: manifest for manifest in place.manifests()}
    assert set(manifests) == set(ids)
    for run_id, least in ids.items():
        manifest = manifests[run_id]
        assert manifest["status"] == "completed"
        assert manifest["parameters"]["filtering"]["min_images_per_side"] == least
        assert set(manifest["save_versions"].values()) == {run_id}
        assert {"judgements", "cultwin", "filtering_metrics"} <= manifest["save_versions"].keys()
        assert manifest["load_versions"]["twins"] == VERSION
        assert manifest["load_versions"]["judgements"] == run_id
        assert len(manifest["node_seconds"]) == 5
    assert list((place.data / "08_reporting/run_manifest.json").glob(".*")) == []


def test_the_thread_runner_works_and_leaves_the_same_manifest(place, judge_path):  # noqa: F811
    place.fill()
    run(place, judge_path)
    run(place, judge_path, ThreadRunner())
    one, other = place.manifests()
    assert other["status"] == "completed"
    assert one["node_seconds"].keys() == other["node_seconds"].keys()
    assert one["save_versions"].keys() == other["save_versions"].keys()


def test_the_parallel_runner_is_refused_before_any_work(place, judge_path):  # noqa: F811
    place.fill()
    with pytest.raises(ConfigurationError, match=r"--runner=ParallelRunner: .*ThreadRunner works"):
        run(place, judge_path, ParallelRunner(max_workers=2))
    assert place.manifests() == []


def test_what_a_run_in_progress_has_saved_is_not_loaded(place, judge_path):  # noqa: F811
    place.fill()
    put_later_twins(place)
    mark = mark_in_progress(place)
    run(place, judge_path)
    mark.unlink()
    run(place, judge_path)
    assert [manifest["load_versions"]["twins"] for manifest in place.manifests()] == [VERSION, LATER]


def test_what_a_run_saves_that_begins_while_versions_are_fixed_is_not_loaded(place, judge_path, monkeypatch):  # noqa: F811
    """On a busy machine the imports of the datasets took seconds, and a table was saved meanwhile."""
    place.fill()
    real = WholeVersions.pin

    def slow(self: WholeVersions, hidden: Collection[str] = ()) -> None:
        manifest = place.data / "08_reporting/run_manifest.json" / LATER / "run_manifest.json"
        if not manifest.exists():
            mark_in_progress(place)
            manifest.parent.mkdir()
            manifest.write_text('{"status": "running"}')
            put_later_twins(place)
        real(self, hidden)

    monkeypatch.setattr(WholeVersions, "pin", slow)
    run(place, judge_path)
    *_, manifest = sorted(place.manifests(), key=lambda m: m["status"] == "completed")
    assert manifest["load_versions"]["twins"] == VERSION


def test_what_a_killed_run_has_saved_is_loaded_and_its_mark_goes(place, judge_path):  # noqa: F811
    place.fill()
    put_later_twins(place)
    code = (
        "import sys; from pathlib import Path; from cultureclip.engine.temporary import temporary_beside\n"
        "temporary_beside(Path(sys.argv[1])).touch()"
    )
    mark = mark_in_progress(place, code)
    run(place, judge_path)
    (manifest,) = place.manifests()
    assert manifest["load_versions"]["twins"] == LATER
    assert not mark.exists()


def test_versions_that_another_run_saves_meanwhile_are_not_loaded(place, judge_path, monkeypatch):  # noqa: F811
    place.fill()
    from cultureclip.pipelines.filtering import nodes

    real = nodes.measure_images

    @functools.wraps(real)  # with its annotations, by which parameters get their types
    def slow(*given: Any) -> Any:
        put_later_twins(place, generate_timestamp())
        return real(*given)

    monkeypatch.setattr("cultureclip.pipelines.filtering.pipeline.measure_images", slow)
    run(place, judge_path)
    (manifest,) = place.manifests()
    assert manifest["load_versions"]["twins"] == VERSION


def test_an_input_that_a_run_in_progress_is_making_is_missing_and_the_run_is_named(place, judge_path):  # noqa: F811
    place.fill()
    later = put_later_twins(place)
    (later.parents[1] / VERSION / later.name).unlink()
    mark_in_progress(place)
    with pytest.raises(MissingInputError) as caught:
        run(place, judge_path)
    assert caught.value.item == "twins"
    assert f"or wait for the run in progress: {LATER} (process {os.getpid()})" in caught.value.remedy


def test_a_second_run_with_the_same_id_is_refused_before_any_work(place, judge_path):  # noqa: F811
    place.fill()
    bootstrap_project(ROOT)
    session = KedroServiceSession.create(project_path=ROOT, conf_source=str(place.conf))
    given = {"run_id": LATER, "pipeline_names": ["filtering"]}
    session.run(**given, runtime_params={"filtering": {"judge": str(judge_path)}})
    with pytest.raises(ConfigurationError, match="same millisecond"):
        session.run(**given, runtime_params={"filtering": {"judge": str(judge_path)}})


def test_a_full_disk_at_a_table_s_save_is_a_typed_error_of_the_run(place, judge_path, monkeypatch):  # noqa: F811
    place.fill()
    real = pd.DataFrame.to_parquet

    def full(table: pd.DataFrame, path: Any, *given: Any, **named: Any) -> Any:
        if "judgements" in str(getattr(path, "name", "")):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(table, path, *given, **named)

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(StorageError, match=r"judgements\.parquet: .*No space left on device.*Free disk space"):
        run(place, judge_path)
    (manifest,) = place.manifests()
    assert manifest["status"] == "failed" and "Free disk space" in manifest["error"]
    monkeypatch.undo()
    monkeypatch.chdir(ROOT)
    run(place, judge_path)
    assert place.manifests()[-1]["status"] == "completed"
