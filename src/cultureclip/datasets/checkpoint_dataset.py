"""Kedro dataset of tuned models: a directory with adapter, card and merged model, versioned."""

from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io.core import AbstractVersionedDataset, Version

from cultureclip.clip.contracts import ADAPTER_NAME, Checkpoint, SavedCheckpoint
from cultureclip.datasets.versions import WholeVersions


class CheckpointDataset(WholeVersions, AbstractVersionedDataset[Checkpoint, SavedCheckpoint]):
    """Saves a :class:`Checkpoint` and loads a handle on its files.

    The merged model in it is an open_clip model:
    ``open_clip.create_model_and_transforms("local-dir:<version's path>/merged")``.

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

    def _write(self, data: Checkpoint, path: Path) -> None:
        """Write adapter, card and merged model."""
        from cultureclip.clip.export.checkpoint import save_checkpoint

        save_checkpoint(data, path)

    def _inspect(self, path: Path) -> None:
        from cultureclip.clip.export.checkpoint import open_checkpoint
        from cultureclip.models.weights.files import check_model

        saved = open_checkpoint(path)
        check_model(path / ADAPTER_NAME)
        check_model(saved.merged_path)

    def load(self) -> SavedCheckpoint:
        """Return a handle with path, merged path and card."""
        from cultureclip.clip.export.checkpoint import open_checkpoint

        return open_checkpoint(Path(self._get_load_path()))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}
