"""A Kedro dataset of a store of cached answers."""

from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from cultureclip.engine.keyed_store import KeyedStore


class KeyedStoreDataset(AbstractDataset[NoReturn, KeyedStore]):
    """Gives nodes a handle to a :class:`KeyedStore`.

    The node adds answers through the handle, batch by batch, so stored answers survive a crash of the node. Nothing is
    saved through Kedro, because a save would come only after the node's end.

    Args:
        filepath: The database file; created with its folder at the first load.
        metadata: For plug-ins such as kedro-viz.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> KeyedStore:
        """Open the store; create an empty one if it is missing."""
        return KeyedStore(self._filepath)

    def save(self, data: NoReturn) -> None:  # noqa: ARG002 - Kedro's signature
        """Refuse to save.

        Raises:
            DatasetError: always; answers are added through the handle.
        """
        raise DatasetError(
            f"{self._filepath}: an answer store is not written as a node's output. "
            "Take it as the node's input and call its put()"
        )

    def _exists(self) -> bool:
        return True  # a missing store is an empty one, so no pipeline has to make it first

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
