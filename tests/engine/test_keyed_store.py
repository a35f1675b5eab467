import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import StorageError


def test_answers_come_back_and_unknown_keys_do_not(tmp_path):
    store = KeyedStore(tmp_path / "deep" / "store.sqlite")
    store.put({"a": 1, "b": {"text": "tō \x00 <script>", "none": None}, "c": [1.5, "x"]})
    assert store.get(["a", "b", "c", "d"]) == {"a": 1, "b": {"text": "tō \x00 <script>", "none": None}, "c": [1.5, "x"]}
    assert len(store) == 3


def test_the_first_answer_stays(tmp_path):
    store = KeyedStore(tmp_path / "store.sqlite")
    store.put({"a": "first"})
    store.put({"a": "second", "b": "new"})
    assert store.get(["a", "b"]) == {"a": "first", "b": "new"}


def test_more_keys_than_one_query_takes(tmp_path):
    store = KeyedStore(tmp_path / "store.sqlite")
    answers = {f"key {i}": i for i in range(1234)}
    store.put(answers)
    assert KeyedStore(tmp_path / "store.sqlite").get([*answers, "key -1"]) == answers


def test_a_batch_with_an_unserialisable_value_is_not_stored_in_part(tmp_path):
    store = KeyedStore(tmp_path / "store.sqlite")
    with pytest.raises(TypeError):
        store.put({"a": 1, "b": object()})
    assert len(store) == 0


def test_a_killed_writer_leaves_whole_batches(tmp_path):
    path = tmp_path / "store.sqlite"
    code = (
        "import sys; from cultureclip.engine.keyed_store import KeyedStore; store = KeyedStore(sys.argv[1])\n"
        "for n in range(10**6):\n"
        "    store.put({f'{n}-{i}': 'x' * 200 for i in range(50)}); print(n, flush=True)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(5):
        last = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    store = KeyedStore(path)
    assert len(store) % 50 == 0
    assert len(store.get(f"{n}-{i}" for n in range(last + 1) for i in range(50))) == 50 * (last + 1)


def test_a_file_that_is_no_database_is_refused_by_name(tmp_path):
    path = tmp_path / "answers.sqlite"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(StorageError, match=r"answers\.sqlite.*move a damaged file aside"):
        KeyedStore(path)


def test_damage_that_shows_later_is_a_storage_error_too(tmp_path):
    path = tmp_path / "answers.sqlite"
    store = KeyedStore(path)
    store.put({f"k{i}": "v" * 50 for i in range(3000)})
    content = bytearray(path.read_bytes())
    content[8192:60000] = os.urandom(60000 - 8192)
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"answers\.sqlite: .*malformed.*move a damaged file aside"):
        store.get([f"k{i}" for i in range(3000)])
    with pytest.raises(StorageError, match=r"answers\.sqlite"):
        store.put({f"new{i}": "v" * 50 for i in range(3000)})


def test_a_value_that_is_no_json_and_a_folder_that_is_a_file_are_named(tmp_path):
    store = KeyedStore(tmp_path / "answers.sqlite")
    store.put({"a": 1})
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute("UPDATE answers SET value = '{half'")
    with pytest.raises(StorageError, match=r"answers\.sqlite"):
        store.get(["a"])
    with pytest.raises(StorageError, match="File exists"):
        KeyedStore(tmp_path / "answers.sqlite" / "x.sqlite")
