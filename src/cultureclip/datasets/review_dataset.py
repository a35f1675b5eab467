"""A Kedro dataset of people's decisions about pairs of concepts."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from kedro.io import AbstractDataset

from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import StorageError
from cultureclip.ids import digest
from cultureclip.tables import TWIN_REVIEWS, make_table

_REMEDY = "Make room and the folder writable; put a copy of a damaged file in its place, or move it aside"


class ReviewDataset(AbstractDataset[pd.DataFrame, pd.DataFrame]):
    """Decisions in a file to which every save adds: a person's work is never overwritten.

    Several reviewers may save at once, and a save is on disk completely or not at all. A load gives the last word of
    every reviewer about every pair; earlier ones stay in the file. A file that is not there holds no decision.

    Args:
        filepath: The database file; created with its folder at the first save.
        metadata: For plug-ins such as kedro-viz.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """Return a table that fits :data:`cultureclip.tables.TWIN_REVIEWS`.

        Raises:
            StorageError: if the file is damaged or cannot be read.
        """
        with _typed_errors():
            said = KeyedStore(self._filepath).read_all() if self._filepath.exists() else []
        latest = {(row["twin_id"], row["reviewer"]): row for row in said}
        return make_table(list(latest.values()), TWIN_REVIEWS)

    def save(self, data: pd.DataFrame) -> None:
        """Add decisions.

        Raises:
            StorageError: if the disk is full, or the file is damaged or cannot be written.
        """
        said = data.astype(object).where(data.notna(), None).to_dict("records")
        keyed = {digest(*(row[name] for name in ("twin_id", "reviewer", "decided_at"))): row for row in said}
        with _typed_errors():
            KeyedStore(self._filepath).put(keyed)

    def _exists(self) -> bool:
        return True  # a missing file holds no decision, so nothing has to be made first

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


@contextmanager
def _typed_errors() -> Iterator[None]:
    try:
        yield
    except StorageError as error:  # a store of answers asks again for what is lost; nobody wants to decide again
        raise StorageError(error.item, error.cause, _REMEDY) from error
