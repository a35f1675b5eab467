"""An index of a knowledge base's pictures, as a Kedro dataset."""

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kedro.io.core import AbstractVersionedDataset, Version

from cultureclip.datasets.versions import WholeVersions

if TYPE_CHECKING:  # kedro-viz and listings need the catalog without FAISS
    from cultureclip.attribution.index import PictureIndex


class PictureIndexDataset(WholeVersions, AbstractVersionedDataset["PictureIndex", "PictureIndex"]):
    """Saves an index as a folder of vectors and header.

    Args:
        filepath: Directory of the versions.
        version: Version to load or save.
        metadata: For other tools, e.g. kedro-viz.
    """

    def __init__(
        self, *, filepath: str, version: Version | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        super().__init__(PurePosixPath(Path(filepath).as_posix()), version)
        self.metadata = metadata

    def load(self) -> "PictureIndex":
        """Read the index.

        Raises:
            SourceDataError: if it is damaged.
        """
        from cultureclip.attribution.index import load_index

        return load_index(Path(self._get_load_path()))

    def _write(self, data: "PictureIndex", path: Path) -> None:
        from cultureclip.attribution.index import save_index

        save_index(data, path)

    def _inspect(self, path: Path) -> None:
        from cultureclip.attribution.index import load_index

        load_index(path)

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}
