"""A version of the generated images: a manifest of sorted ids over the image store, not a copy of the images."""

import base64
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractVersionedDataset, DatasetError
from kedro.io.core import Version
from kedro_datasets._typing import ImagePreview
from PIL import Image

from cultureclip.datasets.versions import WholeVersions
from cultureclip.images.store import ImageSet, ShardStore

_PREVIEW_COLUMNS, _PREVIEW_ROWS, _PREVIEW_EDGE = 12, 4, 64


class ShardStoreDataset(WholeVersions, AbstractVersionedDataset[Sequence[str] | ImageSet, ImageSet]):
    """Saves ids as a JSON manifest and loads them as an :class:`~cultureclip.images.store.ImageSet`.

    Example:
        .. code-block:: yaml

            images:
              type: cultureclip.datasets.shard_store_dataset.ShardStoreDataset
              filepath: data/03_primary/images.json
              store: {filepath: data/03_primary/image_store}
              versioned: true
    """

    def __init__(
        self,
        *,
        filepath: str,
        store: dict[str, str],
        version: Version | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Name the manifest and the store.

        Args:
            filepath: Path of the manifest.
            store: ``filepath`` of the image store (a mapping, so that Kedro resolves its path, too).
            version: Which version to load and to save.
            metadata: Anything, kept for plugins.
        """
        super().__init__(PurePosixPath(filepath), version)
        self._store = ShardStore(store["filepath"])
        self.metadata = metadata

    def load(self) -> ImageSet:
        """Return the images of a version without reading any.

        Raises:
            DatasetError: if the manifest is damaged.
        """
        return ImageSet(self._store, _read_ids(Path(self._get_load_path())))

    def _write(self, data: Sequence[str] | ImageSet, path: Path) -> None:
        """Write a manifest.

        Args:
            data: Ids in any order; all must be in the store.
            path: Path of the manifest.

        Raises:
            DatasetError: if an id is not in the store.
        """
        ids = sorted(set(data.ids if isinstance(data, ImageSet) else data))
        if missing := self._store.find_missing(ids):
            raise DatasetError(
                f"{self}: {len(missing)} images are not in the store, first {missing[0]}. Generate them first"
            )
        path.write_text(json.dumps({"count": len(ids), "image_ids": ids}, indent=0), encoding="utf-8")

    def _inspect(self, path: Path) -> None:
        _read_ids(path)

    def is_over(self, root: Path) -> bool:
        """Tell whether the manifests list images of the store in this folder."""
        return self._store.root.absolute() == root.absolute()

    def read_all_versions(self) -> Iterator[list[str]]:
        """Read the ids of every version that there is, one after the other.

        Raises:
            DatasetError: if a manifest is damaged.
        """
        for path in sorted(Path(self._filepath).glob(f"*/{self._filepath.name}")):
            yield _read_ids(path)

    def preview(self) -> ImagePreview:
        """Return a sheet of images spread evenly over the ids, as base64 PNG."""
        images = self.load()
        count = min(len(images), _PREVIEW_COLUMNS * _PREVIEW_ROWS)
        sheet = Image.new("RGB", (_PREVIEW_COLUMNS * _PREVIEW_EDGE, _PREVIEW_ROWS * _PREVIEW_EDGE), "white")
        for place, picture in enumerate(images.read([images.ids[i * len(images) // count] for i in range(count)])):
            row, column = divmod(place, _PREVIEW_COLUMNS)
            sheet.paste(picture.resize((_PREVIEW_EDGE, _PREVIEW_EDGE)), (column * _PREVIEW_EDGE, row * _PREVIEW_EDGE))
        buffer = io.BytesIO()
        sheet.save(buffer, "PNG")
        return ImagePreview(base64.b64encode(buffer.getvalue()).decode("ascii"))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "store": self._store.root, "version": self._version}


def _read_ids(path: Path) -> list[str]:
    try:
        ids: list[str] = json.loads(path.read_text(encoding="utf-8"))["image_ids"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        remedy = "Make it again, no image is regenerated: kedro run --pipelines=synthesis"
        raise DatasetError(f"{path}: not a manifest of images ({error!r}). {remedy}") from error
    return ids
