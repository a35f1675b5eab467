"""A journal in an object store: an S3-like server on loopback, whose requests are answered one after another."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import ValidationError

from cultureclip.engine.journal import DONE, FAILED, Journal
from cultureclip.engine.settings import EngineSettings
from cultureclip.engine.status import read_jobs
from tests.support.jobs import calls, run_files

ROOT = Path(__file__).parents[2]
IDS = [f"{number:03}" for number in range(40)]


@pytest.fixture
def place(bucket: str) -> str:
    return f"{bucket}/jobs"


def engine(place: str, **changes: object) -> EngineSettings:
    return EngineSettings(**{"journal": place, "silent_s": 2.0} | changes)


def journals(place: str, count: int, silent_s: float) -> list[Journal]:
    folder = engine(place).journal
    assert folder is not None
    return [Journal(folder / "files-plan", silent_s) for _ in range(count)]


def start_run(folder: Path, settings: EngineSettings, seconds: float) -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    command = [sys.executable, "-m", "tests.support.jobs", str(folder), settings.model_dump_json(), "40", str(seconds)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob("[0-9]*")}


def test_one_of_many_claims_wins_and_a_taken_over_holder_marks_nothing(place):
    one, other = journals(place, 2, 0.5)
    one.begin({"unit": "files", "slices": {"a": 1}})
    lease = one.claim("a")
    assert lease is not None and other.claim("a") is None
    time.sleep(0.6)
    assert lease.beat()
    assert other.claim("a") is None, "it gave a sign of life"
    time.sleep(0.6)
    taken = other.claim("a")
    assert taken is not None and taken.tries == 1
    assert not lease.beat()
    assert not one.settle(lease, FAILED, {"reason": "late"})
    assert other.settle(taken, DONE, {"items": 1})
    assert one.names(FAILED) == set() and one.names(DONE) == {"a"}
    assert one.holders() == {}


def test_claims_at_the_same_time_have_one_winner_each(place):
    crowd = journals(place, 8, 60.0)
    slices = {f"slice{number}": 1 for number in range(6)}
    crowd[0].begin({"unit": "files", "slices": slices})
    with ThreadPoolExecutor(len(crowd)) as pool:
        for name in slices:
            leases = list(pool.map(lambda journal, name=name: journal.claim(name), crowd))
            assert sum(lease is not None for lease in leases) == 1
    assert set(crowd[0].holders()) == set(slices)


@pytest.mark.parametrize("workers", [0, 2])
def test_every_item_is_done_once(place, tmp_path, workers):
    folder = tmp_path / "files"
    settings = engine(place, kind="pool", workers=workers, silent_s=600) if workers else engine(place)
    assert run_files(folder, settings) == len(IDS)
    assert calls(folder) == IDS
    assert run_files(folder, settings) == 0
    assert settings.journal is not None
    (progress,) = read_jobs(settings.journal)
    assert (progress.done, progress.items, progress.workers, progress.failed) == (40, 40, 0, 0)


def test_runs_that_join_late_and_die_leave_a_whole_job(place, tmp_path):
    """Three runs share a job: one is killed amid its work, one comes when it is dead; nothing is lost."""
    folder = tmp_path / "files"
    folder.mkdir()
    shares = [engine(place, task=task, tasks=3, silent_s=6) for task in range(3)]
    runs = [start_run(folder, settings, 0.2) for settings in shares[:2]]
    while len(files(folder)) < 3:
        assert all(run.poll() is None for run in runs), "a run ended before the others began"
        time.sleep(0.05)
    runs[0].send_signal(signal.SIGKILL)
    late = start_run(folder, shares[2], 0.0)
    assert runs[1].wait() == 0 and late.wait() == 0
    assert files(folder) == {item: item for item in IDS}
    (journal,) = journals(place, 1, 2.0)
    assert len(journal.names(DONE)) == 10
    assert journal.holders() == {}
    twice = [item for item, count in Counter(calls(folder)).items() if count > 1]
    assert len(twice) <= 8, "what a killed run had in hand is a slice; a slow one may be taken over"


def test_a_place_whose_packages_are_missing_is_refused_at_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "upath", None)
    with pytest.raises(
        ValidationError, match=r"s3://bucket/jobs: cannot be opened .*pip install 'cultureclip\[remote\]'"
    ):
        EngineSettings(journal="s3://bucket/jobs")


def test_an_address_without_a_known_protocol_is_refused_at_once():
    with pytest.raises(ValidationError, match=r"gopher://bucket/jobs: cannot be opened"):
        EngineSettings(journal="gopher://bucket/jobs")
