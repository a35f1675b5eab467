import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from cultureclip.engine.atomic import replacing
from cultureclip.engine.temporary import TEMPORARY


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "file.txt"
    file.write_text("old")
    return file


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_the_old_content_is_there_until_the_block_ends(path):
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent  # a rename does not cross file systems
    assert path.read_text() == "new"
    assert names(path.parent) == ["file.txt"]


def test_a_writer_that_fails_half_way_leaves_the_old_content_and_no_rubbish(path):
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("ne")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert names(path.parent) == ["file.txt"]


def test_a_disk_that_fails_at_the_end_leaves_the_old_content_and_no_rubbish(path, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"), replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "old"
    assert names(path.parent) == ["file.txt"]


def test_the_content_is_on_disk_before_it_gets_its_name_and_the_name_after(path, monkeypatch):
    flushed = []

    def record(descriptor: int) -> None:
        flushed.append((os.path.samestat(os.fstat(descriptor), path.parent.stat()), path.read_text()))

    monkeypatch.setattr(os, "fsync", record)
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert flushed == [(False, "old"), (True, "new")]


def test_the_folder_is_made(tmp_path):
    with replacing(tmp_path / "a" / "b" / "file.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "a" / "b" / "file.txt").read_text() == "new"


def test_a_killed_writer_leaves_the_old_content_and_a_file_with_the_suffix(path):
    code = (
        "import os, signal, sys; from pathlib import Path; from cultureclip.engine.atomic import replacing\n"
        "with replacing(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('ne'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    (rubbish,) = set(names(path.parent)) - {"file.txt"}
    assert rubbish.startswith(".file.txt.")
    assert rubbish.endswith(TEMPORARY)


def test_readers_see_whole_contents_while_two_writers_replace_them(path):
    contents = {letter * 200_000 for letter in "ab"}
    path.write_text(min(contents))

    def write(content: str) -> None:
        for _ in range(20):
            with replacing(path) as temporary:
                temporary.write_text(content)

    with ThreadPoolExecutor() as pool:
        writers = [pool.submit(write, content) for content in contents]
        while not all(writer.done() for writer in writers):
            assert path.read_text() in contents
    for writer in writers:
        writer.result()
    assert names(path.parent) == ["file.txt"]
