"""What killed writers left behind goes; what writers at work are writing stays."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cultureclip.engine import temporary
from cultureclip.engine.atomic import replacing
from cultureclip.engine.folders import building
from cultureclip.engine.temporary import scratch_folder, sweep, temporary_beside

WRITERS = {
    "a file": "from cultureclip.engine.atomic import replacing as write; inside = lambda t: t",
    "a folder": "from cultureclip.engine.folders import building as write; inside = lambda t: t / 'part'",
}


def kill_a_writer(path: Path, kind: str) -> None:
    code = (
        f"import os, signal, sys; from pathlib import Path; {WRITERS[kind]}\n"
        "with write(Path(sys.argv[1])) as temporary:\n"
        "    inside(temporary).write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize("kind", WRITERS)
def test_the_next_writer_removes_what_a_killed_one_left(tmp_path, kind):
    kill_a_writer(tmp_path / "thing", kind)
    assert len(names(tmp_path)) == 1
    with replacing(tmp_path / "another") as written:
        written.write_text("whole")
    assert names(tmp_path) == ["another"]


def test_nothing_of_a_writer_at_work_is_removed(tmp_path):
    with building(tmp_path / "slow") as slow:
        (slow / "part").write_text("1")
        os.utime(slow / "part", (0, 0))
        os.utime(slow, (0, 0))  # its age says nothing: its process is there
        with replacing(tmp_path / "quick") as quick:
            quick.write_text("2")
    assert (tmp_path / "slow" / "part").read_text() == "1"


@pytest.mark.parametrize("left", [".report.0123456789abcdef0123456789abcdef.tmp", None])
def test_a_writer_elsewhere_or_of_an_earlier_release_is_dead_after_an_hour_without_a_change(
    tmp_path, monkeypatch, left
):
    monkeypatch.setattr(temporary, "process_scope", lambda: "0" * 12)
    folder = tmp_path / left if left else temporary_beside(tmp_path / "far")
    monkeypatch.undo()
    folder.mkdir()
    (folder / "part").write_text("half")
    os.utime(folder, (0, 0))
    sweep(tmp_path)
    assert folder.exists(), "a file in it is young"
    os.utime(folder / "part", (0, 0))
    sweep(tmp_path)
    assert names(tmp_path) == []


def test_other_hidden_files_are_left_alone(tmp_path):
    for name in (".keep", "x.tmp", ".gitignore"):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (0, 0))
    sweep(tmp_path)
    assert names(tmp_path) == [".gitignore", ".keep", "x.tmp"]


def test_a_folder_that_is_not_there_or_not_readable_needs_no_sweep(tmp_path):
    sweep(tmp_path / "none")


def test_scratch_folders_of_killed_runs_are_removed_and_nothing_else_of_the_systems(tmp_path, monkeypatch):
    monkeypatch.setattr(temporary, "gettempdir", lambda: str(tmp_path))
    foreign = tmp_path / ".other.0123456789abcdef0123456789abcdef.tmp"
    kill_a_writer(tmp_path / "cultureclip", "a folder")
    foreign.write_text("")
    os.utime(foreign, (0, 0))
    assert len(names(tmp_path)) == 2
    with scratch_folder() as folder:
        assert folder.parent == tmp_path and folder.is_dir()
        assert len(names(tmp_path)) == 2
    assert names(tmp_path) == [foreign.name]
