"""A store of answers by the key of their inputs: an unchanged question is never asked a model twice.

Every row has a checksum, so an answer that changed on the disk is never taken for the model's. Rows that were stored
before there were checksums get theirs when the store is first opened for writing: from then on they are watched, too.
"""

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from cultureclip.engine.temporary import scratch_folder
from cultureclip.errors import StorageError

_TABLE = "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, value TEXT NOT NULL, checksum TEXT)"
_KEYS_AT_ONCE = 500
_REMEDY = "Make room and the folder writable; move a damaged file aside: its answers are asked again"


class KeyedStore:
    """Key -> JSON value on disk (SQLite), safe against ``kill -9``: a batch is stored completely or not at all.

    A store in a folder that cannot be written is opened for reading: ``get`` works, ``put`` is refused.

    Args:
        path: The database file; created with its folder if missing.

    Raises:
        StorageError: if the store is absent and cannot be made, the disk is full, or the file is not a database or a
            damaged one; so also raised by every method.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if self._writable():
            with self._writing() as connection:
                connection.execute(_TABLE)
                if not _has_checksums(connection):
                    connection.create_function("checksum_of", 2, _checksum, deterministic=True)
                    connection.execute("ALTER TABLE answers ADD COLUMN checksum TEXT")
                    connection.execute("UPDATE answers SET checksum = checksum_of(key, value)")
        else:
            len(self)

    def get(self, keys: Iterable[str]) -> dict[str, Any]:
        """Read the stored values of these keys.

        Raises:
            StorageError: if an answer is damaged. It is removed if the folder can be written, so the next run asks
                only for this answer.
        """
        wanted, found, damaged = list(keys), {}, {}
        with self._reading() as connection:
            connection.create_function("checksum_of", 2, _checksum, deterministic=True)
            checksum = "checksum" if _has_checksums(connection) else "checksum_of(key, value)"
            for start in range(0, len(wanted), _KEYS_AT_ONCE):
                part = wanted[start : start + _KEYS_AT_ONCE]
                marks = ",".join("?" * len(part))
                query = f"SELECT rowid, key, value, {checksum} FROM answers WHERE key IN ({marks})"  # noqa: S608
                for row, key, value, expected in connection.execute(query, part):
                    if _is_whole(key, value, expected):
                        found[key.decode()] = json.loads(value.decode())  # of bytes, json would guess the encoding
                    else:
                        damaged[row] = key
        if damaged:
            raise self._refuse(damaged, len(wanted))
        return found

    def find(self, keys: Iterable[str]) -> set[str]:
        """Return those of these keys that have a value, without reading it: damage shows when it is read."""
        wanted, found = list(keys), set()
        with self._reading() as connection:
            for start in range(0, len(wanted), _KEYS_AT_ONCE):
                part = wanted[start : start + _KEYS_AT_ONCE]
                query = f"SELECT key FROM answers WHERE key IN ({','.join('?' * len(part))})"  # noqa: S608
                found |= {key.decode() for (key,) in connection.execute(query, part)}
        return found

    def read_all(self) -> list[Any]:
        """Read all values in the order in which they were stored.

        Raises:
            StorageError: if one is damaged. It is left where it is.
        """
        with self._reading() as connection:
            checksum = "checksum" if _has_checksums(connection) else "NULL"
            rows = connection.execute(f"SELECT key, value, {checksum} FROM answers ORDER BY rowid").fetchall()  # noqa: S608
        if damaged := [key for key, value, expected in rows if not _is_whole(key, value, expected)]:
            cause = f"{len(damaged)} of {len(rows)} entries are damaged, first {_name(damaged[0])}"
            raise StorageError(self.path, cause, "Check the disk, then put a copy of the file in its place")
        return [json.loads(value) for _, value, _ in rows]

    def put(self, answers: Mapping[str, Any]) -> None:
        """Store a batch of values; a key that is there already keeps its value."""
        texts = {key: json.dumps(value, ensure_ascii=False) for key, value in answers.items()}
        rows = [(key, text, _checksum(key.encode(), text.encode())) for key, text in texts.items()]
        with self._writing() as connection:
            connection.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?, ?)", rows)

    def __len__(self) -> int:
        with self._reading() as connection:
            return int(connection.execute("SELECT count(*) FROM answers").fetchone()[0])

    def _refuse(self, damaged: Mapping[int, Any], wanted: int) -> StorageError:
        cause = f"{len(damaged)} of {wanted} answers are damaged, first {_name(next(iter(damaged.values())))}"
        if not self._writable():
            return StorageError(self.path, cause, "Check the disk, then copy the store again")
        with self._writing() as connection:
            connection.executemany("DELETE FROM answers WHERE rowid = ?", [(row,) for row in damaged])
        remedy = "Check the disk, then run again: only these answers are asked again"
        return StorageError(self.path, f"{cause}; they were removed", remedy)

    def _writable(self) -> bool:
        here = self.path if self.path.exists() else self.path.parent
        return not here.exists() or all(_may_write(place) for place in {here, self.path.parent})

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Open for reading. SQLite writes beside the file even then, so a read-only folder needs another mode."""
        log = self.path.with_name(f"{self.path.name}-wal")
        with _typed_errors(self.path), ExitStack() as stack:
            if self._writable():
                connection = stack.enter_context(self._connected())
            elif log.exists() and log.stat().st_size:  # of a killed writer: it is read from a copy
                copy = stack.enter_context(scratch_folder()) / self.path.name
                shutil.copyfile(self.path, copy)
                shutil.copyfile(log, copy.with_name(log.name))
                connection = stack.enter_context(closing(sqlite3.connect(copy)))
            else:
                address = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"
                connection = stack.enter_context(closing(sqlite3.connect(address, uri=True)))
            connection.text_factory = bytes
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with _typed_errors(self.path), self._connected() as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.path, timeout=60)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            yield connection


def _has_checksums(connection: sqlite3.Connection) -> bool:
    return any(column[1] in ("checksum", b"checksum") for column in connection.execute("PRAGMA table_info(answers)"))


def _checksum(key: bytes | str, value: bytes | str) -> str:
    """Return the digest of a row, key and value with a zero between: 64 bits tell any damage."""
    hasher = hashlib.sha256(key.encode() if isinstance(key, str) else key)
    hasher.update(b"\0")
    hasher.update(value.encode() if isinstance(value, str) else value)  # not joined: that would copy it
    return hasher.hexdigest()[:16]


def _is_whole(key: object, value: object, checksum: object) -> bool:
    return isinstance(key, bytes) and isinstance(value, bytes) and checksum == _checksum(key, value).encode()


def _name(key: object) -> str:
    return key.decode(errors="replace") if isinstance(key, bytes) else repr(key)


def _may_write(path: Path) -> bool:
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


@contextmanager
def _typed_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError, ValueError) as error:
        raise StorageError(path, str(error), _REMEDY) from error
