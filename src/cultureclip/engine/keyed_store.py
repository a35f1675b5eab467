"""A store of answers kept by the key of what made them: an unchanged question is never asked a model twice."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from cultureclip.errors import StorageError


class KeyedStore:
    """Key -> JSON value on disk (SQLite), safe against ``kill -9``: a batch is stored whole or not at all.

    Args:
        path: The database file; made with its folder when absent.

    Raises:
        StorageError: the folder cannot be written, the disk is full, or the file is no database or a damaged one; so
            also raised by every method.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with self._transaction() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, value TEXT NOT NULL)")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=60)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
                with connection:
                    yield connection
        except (sqlite3.DatabaseError, OSError, json.JSONDecodeError) as error:
            remedy = "Make room and the folder writable; move a damaged file aside: its answers are asked again"
            raise StorageError(self.path, str(error), remedy) from error

    def get(self, keys: Iterable[str]) -> dict[str, Any]:
        """The values of those keys that are stored."""
        wanted, found = list(keys), {}
        with self._transaction() as connection:
            for key in wanted:
                row = connection.execute("SELECT value FROM answers WHERE key = ?", (key,)).fetchone()
                if row is not None:
                    found[key] = json.loads(row[0])
        return found

    def put(self, answers: Mapping[str, Any]) -> None:
        """Store a batch of values; a key that is there already keeps its value."""
        rows = [(key, json.dumps(value, ensure_ascii=False)) for key, value in answers.items()]
        with self._transaction() as connection:
            connection.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?)", rows)

    def __len__(self) -> int:
        with self._transaction() as connection:
            return int(connection.execute("SELECT count(*) FROM answers").fetchone()[0])
