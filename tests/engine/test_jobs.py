"""Jobs by one and several workers and runs; workers and runs that die, hang, fail and find the disk full."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cultureclip.engine.journal import DONE, FAILED, Journal
from cultureclip.engine.settings import EngineSettings
from cultureclip.engine.status import STATUS, read_jobs
from cultureclip.errors import JobError, StorageError
from tests.support.jobs import calls, run_files

ROOT = Path(__file__).parents[2]
IDS = [f"{number:03}" for number in range(40)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "files"


def engine(tmp_path: Path, **changes: Any) -> EngineSettings:
    return EngineSettings(**{"journal": tmp_path / "jobs", "silent_s": 2.0} | changes)


def start_run(folder: Path, settings: EngineSettings, seconds: float = 0.05) -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    command = [sys.executable, "-m", "tests.support.jobs", str(folder), settings.model_dump_json(), "40", str(seconds)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob("[0-9]*")}


@pytest.mark.parametrize("workers", [0, 1, 2, 7])
def test_any_number_of_workers_does_every_item_once(folder, tmp_path, workers):
    settings = engine(tmp_path, kind="pool", workers=workers) if workers else engine(tmp_path)
    assert run_files(folder, settings) == len(IDS)
    assert calls(folder) == IDS
    assert files(folder) == {item: item for item in IDS}
    assert run_files(folder, settings) == 0
    (progress,) = read_jobs(tmp_path / "jobs")
    assert (progress.done, progress.items, progress.workers, progress.failed) == (40, 40, 0, 0)
    assert "40 of 40 files (100%)" in (tmp_path / "jobs/files-plan" / STATUS).read_text()


@pytest.mark.parametrize("deed", ["dies", "hangs"])
def test_a_worker_that_dies_or_hangs_costs_only_its_slice(folder, tmp_path, deed):
    Path(f"{folder}.{deed}").write_text("013")
    run_files(folder, engine(tmp_path, kind="pool", workers=2, silent_s=1.0))
    assert files(folder) == {item: item for item in IDS}
    assert {item for item, count in Counter(calls(folder)).items() if count > 1} <= {"012", "013", "014", "015"}


def test_an_item_that_kills_its_workers_fails_alone_and_is_taken_up_when_asked_for(folder, tmp_path):
    told = Path(f"{folder}.dies")
    told.write_text("013!")
    settings = engine(tmp_path, kind="pool", workers=2)
    with pytest.raises(JobError, match=r"1 of 10 slices failed.*ended by signal 9.*engine.retry=failed"):
        run_files(folder, settings)
    assert len(files(folder)) == 36 + 1
    told.unlink()
    with pytest.raises(JobError, match="1 of 1 slices failed"):
        run_files(folder, settings)
    run_files(folder, settings.model_copy(update={"retry": "failed"}))
    assert files(folder) == {item: item for item in IDS}


@pytest.mark.parametrize("kind", ["local", "pool"])
def test_an_item_that_fails_is_named_and_the_others_are_done(folder, tmp_path, kind):
    Path(f"{folder}.fails").write_text("013")
    with pytest.raises(JobError, match="ZeroDivisionError: division by zero"):
        run_files(folder, engine(tmp_path, kind=kind))
    assert len(files(folder)) == 36 + 1
    run_files(folder, engine(tmp_path, kind=kind, retry="failed"))
    assert files(folder) == {item: item for item in IDS}


@pytest.mark.parametrize("kind", ["local", "pool"])
def test_a_full_disk_stops_the_run_and_the_next_one_goes_on_by_itself(folder, tmp_path, kind):
    Path(f"{folder}.full").write_text("013")
    with pytest.raises(StorageError, match="Free disk space"):
        run_files(folder, engine(tmp_path, kind=kind))
    assert read_jobs(tmp_path / "jobs")[0].blocked == 1
    run_files(folder, engine(tmp_path, kind=kind))
    assert files(folder) == {item: item for item in IDS}
    assert read_jobs(tmp_path / "jobs")[0].blocked == 0


def test_an_item_that_is_lost_after_it_was_done_is_done_again(folder, tmp_path):
    run_files(folder, engine(tmp_path))
    (folder / "013").unlink()
    run_files(folder, engine(tmp_path))
    assert files(folder) == {item: item for item in IDS}


def test_runs_started_together_share_the_work_and_one_that_is_killed_loses_nothing(folder, tmp_path):
    runs = [start_run(folder, engine(tmp_path, task=task, tasks=3)) for task in range(3)]
    while len(files(folder)) < 8:
        time.sleep(0.01)
    runs[0].send_signal(signal.SIGKILL)
    done = [int(run.communicate()[0] or 0) for run in runs]
    assert [run.returncode for run in runs] == [-9, 0, 0]
    assert min(done[1:]) > 0
    assert files(folder) == {item: item for item in IDS}
    assert sum(count - 1 for count in Counter(calls(folder)).values()) <= 3, "more than the killed run's slice"


def test_a_run_that_hangs_and_comes_back_changes_nothing(folder, tmp_path):
    first = start_run(folder, engine(tmp_path, silent_s=1.0))
    while len(files(folder)) < 6:
        time.sleep(0.01)
    first.send_signal(signal.SIGSTOP)
    run_files(folder, engine(tmp_path, silent_s=1.0))
    assert files(folder) == {item: item for item in IDS}
    first.send_signal(signal.SIGCONT)
    assert first.wait() == 0
    assert files(folder) == {item: item for item in IDS}
    journal = Journal(tmp_path / "jobs/files-plan", 1.0)
    assert len(journal.names(DONE)) == 10
    assert journal.holders() == {}


def test_one_of_many_claims_wins_and_a_taken_over_holder_marks_nothing(tmp_path):
    one, other = (Journal(tmp_path, 0.05) for _ in range(2))
    one.begin({"unit": "files", "slices": {"a": 1}})
    lease = one.claim("a")
    assert lease is not None and other.claim("a") is None
    time.sleep(0.1)
    lease.beat()
    assert other.claim("a") is None, "it gave a sign of life"
    time.sleep(0.1)
    taken = other.claim("a")
    assert taken is not None and taken.tries == 1
    assert not lease.beat()
    assert not one.settle(lease, FAILED, {"reason": "late"})
    assert other.settle(taken, DONE, {"items": 1})
    assert one.names(FAILED) == set() and one.names(DONE) == {"a"}


@pytest.mark.parametrize("jump_s", [-1e9, 1e9])
def test_a_clock_that_jumps_takes_no_slice_away(tmp_path, monkeypatch, jump_s):
    one, other = (Journal(tmp_path, 5.0) for _ in range(2))
    one.begin({"unit": "files", "slices": {"a": 1}})
    lease = one.claim("a")
    assert lease is not None and other.claim("a") is None
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump_s)
    os.utime(lease.path, (max(0, real() + jump_s),) * 2)
    assert other.claim("a") is None
    assert one.settle(lease, DONE, {"items": 1})


@pytest.mark.parametrize("kind", ["local", "pool"])
def test_a_disk_that_fills_stops_the_run_and_with_room_the_next_one_ends_it(tmp_path, kind):
    """A disk of 32 pages: 40 items and the journal need more."""
    disk = tmp_path / "disk"
    disk.mkdir()
    settings = EngineSettings(kind=kind, journal=disk / "jobs").model_dump_json()
    command = f"{sys.executable} -m tests.support.jobs {disk}/files '{settings}' 40 0"
    steps = f"mount -t tmpfs -o size=128k none {disk} && ! {command} && mount -o remount,size=4m {disk} && {command}"
    steps += f" && cat {disk}/files/0* {disk}/jobs/*/status.txt"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    alone = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*alone, "mount", "-t", "tmpfs", "none", disk], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets no user mount a disk of their own")
    ended = subprocess.run(
        [*alone, "sh", "-c", steps], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "Free disk space or raise the quota, then run again" in ended.stderr
    assert "".join(IDS) in ended.stdout
    assert "100%" in ended.stdout and "0 failed, 0 blocked" in ended.stdout


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"task": 2, "tasks": 2, "journal": "jobs"}, "from 0 to 1"),
        ({"tasks": 2}, "name its folder"),
        ({"workers": 2}, "set kind: pool or"),
        ({"kind": "ray"}, "a folder that all of them have"),
        ({"kind": "ray", "journal": "jobs", "devices": ["cuda:0", "cuda:1"]}, "one per worker"),
        ({"kind": "pool", "cluster": "10.0.0.1:6379"}, "set kind: ray"),
        ({"device": "cpu"}, "Extra inputs"),
    ],
)
def test_settings_that_cannot_work_are_refused(given, named):
    with pytest.raises(ValueError, match=named):
        EngineSettings(**given)
