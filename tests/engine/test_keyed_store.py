import codecs
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path

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


def test_keys_are_found_without_their_values(tmp_path):
    store = KeyedStore(tmp_path / "store.sqlite")
    store.put({f"key {i}": i for i in range(1234)})
    assert store.find([f"key {i}" for i in range(1000, 2000)]) == {f"key {i}" for i in range(1000, 1234)}
    assert store.find([]) == set()


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


def write_old_store(path, answers):
    """A store as it was before rows had checksums."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE answers (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
        connection.executemany("INSERT INTO answers VALUES (?, ?)", answers.items())


def test_a_changed_answer_is_named_removed_and_can_be_asked_again(tmp_path):
    store = KeyedStore(tmp_path / "answers.sqlite")
    store.put({"a": "taco", "b": "torii", "c": "kimono"})
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute("""UPDATE answers SET value = '"tacos"' WHERE key = 'a'""")
    with pytest.raises(StorageError, match=r"answers\.sqlite: 1 of 3 answers are damaged, first a; they were removed"):
        store.get("abc")
    assert store.get("abc") == {"b": "torii", "c": "kimono"}
    store.put({"a": "taco"})
    assert store.get("abc") == {"a": "taco", "b": "torii", "c": "kimono"}


def test_answers_that_changed_places_are_damaged(tmp_path):
    store = KeyedStore(tmp_path / "answers.sqlite")
    store.put({"a": 1, "b": 2})
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute("UPDATE answers SET key = CASE key WHEN 'a' THEN 'x' ELSE 'a' END")
        connection.execute("UPDATE answers SET key = 'b' WHERE key = 'x'")
    with pytest.raises(StorageError, match="2 of 2 answers are damaged"):
        store.get("ab")


def test_a_store_from_before_checksums_goes_on_and_is_watched_from_then_on(tmp_path):
    path = tmp_path / "old.sqlite"
    write_old_store(path, {"a": '"tō"', "b": "2"})
    assert KeyedStore(path).get("abc") == {"a": "tō", "b": 2}
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute("SELECT count(*) FROM answers WHERE checksum IS NULL").fetchone() == (0,)
        connection.execute("UPDATE answers SET value = '3' WHERE key = 'b'")
    with pytest.raises(StorageError, match="1 of 2 answers are damaged, first b"):
        KeyedStore(path).get("ab")


@contextmanager
def without_rights():
    """Run the block as a user who owns nothing."""
    codecs.lookup("ascii")  # Python loads it from a folder of root's
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="drops the rights of root")
@pytest.mark.parametrize("state", ["closed", "left by a killed writer", "from before checksums"])
def test_a_store_in_a_folder_that_cannot_be_written_is_read(state):
    with tempfile.TemporaryDirectory() as base:  # pytest's own folders are closed to other users
        folder = Path(base) / "store"
        path = folder / "answers.sqlite"
        if state == "closed":
            KeyedStore(path).put({"a": 1, "b": 2})
        elif state == "from before checksums":
            write_old_store(path, {"a": "1", "b": "2"})
        else:
            code = (
                "import os, sqlite3, sys; from cultureclip.engine.keyed_store import KeyedStore\n"
                "store = KeyedStore(sys.argv[1])\n"
                "store.put({'a': 1})\n"
                "held = sqlite3.connect(sys.argv[1]); held.execute('SELECT * FROM answers').fetchone()\n"
                "store.put({'b': 2}); os.kill(os.getpid(), 9)"
            )
            subprocess.run([sys.executable, "-c", code, str(path)], check=False)
            assert path.with_name("answers.sqlite-wal").stat().st_size > 0
        Path(base).chmod(0o755)
        folder.chmod(0o555)
        before = {file.name: file.read_bytes() for file in folder.iterdir()}
        with without_rights():
            store = KeyedStore(path)
            assert (len(store), store.get("abc")) == (2, {"a": 1, "b": 2})
            with pytest.raises(StorageError, match=r"attempt to write a readonly database\. Make room and the folder"):
                store.put({"c": 3})
            with pytest.raises(StorageError, match=r"absent\.sqlite: unable to open database file"):
                KeyedStore(folder / "absent.sqlite")
        assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
