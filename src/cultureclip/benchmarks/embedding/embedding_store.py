"""Embeddings on disk, one row per item, so that a model embeds each item once."""

import json
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from cultureclip.errors import WeightsError
from cultureclip.ids import digest
from cultureclip.models.weights.checkpoint import load_tensors, save_atomically

logger = logging.getLogger(__name__)

_KEYS, _VECTORS = "keys", "vectors"


class EmbeddingStore:
    """Key of an item -> its embedding by one model, in files that are written in one step and never changed.

    A file holds the rows of one :meth:`add` with their keys, so there is no index to disagree with the data. Two
    processes that add the same rows write the same file.

    Args:
        cache: Folder of all stores.
        model: The model's fingerprint.
        kind: Kind of its items.
        dtype: Number type of the computation.
    """

    def __init__(self, cache: Path, model: str, kind: Literal["images", "texts"], dtype: torch.dtype) -> None:
        self.folder, self.kind = cache / digest(model, kind, str(dtype)), kind

    def get(self, keys: Iterable[str]) -> dict[str, np.ndarray]:
        """Return the cached embeddings of keys, float32 [D] each. Remove damaged files and log their names."""
        wanted = set(keys)
        found: dict[str, np.ndarray] = {}
        for path in sorted(self.folder.glob("*.safetensors")):
            try:
                tensors, about = load_tensors(path)
                rows = dict(zip(json.loads(about[_KEYS]), tensors[_VECTORS].numpy(), strict=True))
            except (WeightsError, ValueError, KeyError) as error:
                logger.warning("Cached embeddings are damaged and will be regenerated: %s", error)
                path.unlink(missing_ok=True)
                continue
            found |= {key: rows[key] for key in wanted.intersection(rows)}
        return found

    def add(self, keys: Sequence[str], vectors: np.ndarray, batch: int) -> None:
        """Keep rows.

        Args:
            keys: Key of each row.
            vectors: float32 [N, D].
            batch: Items in one forward pass, for the record.
        """
        about = {_KEYS: json.dumps(list(keys)), "batch": str(batch)}
        save_atomically({_VECTORS: torch.from_numpy(vectors)}, self.folder / f"{digest(*keys)}.safetensors", about)
