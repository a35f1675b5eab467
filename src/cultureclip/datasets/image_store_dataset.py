"""The folder of all generated images, as a Kedro dataset."""

from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from cultureclip.engine.files import open_place
from cultureclip.images.store import ShardStore


class ImageStoreDataset(AbstractDataset[NoReturn, ShardStore]):
    """Loads a handle of the store. Nodes write through the handle, part by part, so that a crash loses little.

    Example:
        .. code-block:: yaml

            image_store:
              type: cultureclip.datasets.image_store_dataset.ImageStoreDataset
              filepath: data/03_primary/image_store
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        """Name the store.

        Args:
            filepath: Folder of the store, or an address such as ``s3://bucket/images``; need not exist yet.
            metadata: Anything, kept for plugins.
        """
        self._filepath = open_place(filepath)
        self.metadata = metadata

    def load(self) -> ShardStore:
        """Return a handle of the store."""
        return ShardStore(self._filepath)

    def save(self, data: NoReturn) -> NoReturn:  # noqa: ARG002
        """Refuse to save.

        Raises:
            DatasetError: always.
        """
        raise DatasetError(f"{self}: cannot be saved as a whole. Write parts through the handle that load() returns")

    def _exists(self) -> bool:
        return True  # a folder that is not there yet is an empty store

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}
