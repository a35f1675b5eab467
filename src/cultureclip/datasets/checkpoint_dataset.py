"""Kedro dataset of tuned models: a directory with adapter, card and merged model, versioned."""

from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io.core import AbstractVersionedDataset, Version

from cultureclip.clip.contracts import Checkpoint, SavedCheckpoint


class CheckpointDataset(AbstractVersionedDataset[Checkpoint, SavedCheckpoint]):
    """Saves a :class:`Checkpoint` and loads a handle on its files.

    Written as a whole: a directory that exists is complete. The merged model in it is an open_clip model:
    ``open_clip.create_model_and_transforms("local-dir:<version's path>/merged")``.

    Args:
        filepath: Directory under which versions lie.
        version: Version to load or save.
        metadata: For other tools, e.g. kedro-viz.
    """

    def __init__(
        self, *, filepath: str, version: Version | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        super().__init__(
            PurePosixPath(Path(filepath).as_posix()),
            version,
            exists_function=lambda path: Path(path).is_dir(),
        )
        self.metadata = metadata

    def save(self, data: Checkpoint) -> None:
        """Write adapter, card and merged model."""
        from cultureclip.clip.export.checkpoint import save_checkpoint

        path = Path(self._get_save_path())
        path.parent.mkdir(parents=True, exist_ok=True)
        save_checkpoint(data, path)

    def load(self) -> SavedCheckpoint:
        """A handle with path, merged path and card."""
        from cultureclip.clip.export.checkpoint import open_checkpoint

        return open_checkpoint(Path(self._get_load_path()))

    def _exists(self) -> bool:
        return Path(self._get_load_path()).is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}
