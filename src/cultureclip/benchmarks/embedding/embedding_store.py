"""Embeddings on disk, one row per item: a model has to embed no more than what has not been asked about before."""

import json
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from cultureclip.errors import WeightsError
from cultureclip.ids import digest
from cultureclip.models.checkpoint import load_tensors, save_atomically

logger = logging.getLogger(__name__)

_KEYS, _VECTORS = "keys", "vectors"


class EmbeddingStore:
    """Key of an item -> its embedding by one model, in files that are written whole and never changed.

    A file holds the rows of one :meth:`add` with their keys: there is no index that could disagree with it. Two
    processes that add the same rows write the same file.

    Args:
        cache: Folder of all stores.
        model: The model's fingerprint.
        kind: What its items are.
        dtype: What it computes their embeddings in.
    """

    def __init__(self, cache: Path, model: str, kind: Literal["images", "texts"], dtype: torch.dtype) -> None:
        self.folder, self.kind = cache / digest(model, kind, str(dtype)), kind

    def get(self, keys: Iterable[str]) -> dict[str, np.ndarray]:
        """Those of the keys that are kept, float32 [D] each. A damaged file is named and removed, its rows are lost."""
        wanted = set(keys)
        found: dict[str, np.ndarray] = {}
        for path in sorted(self.folder.glob("*.safetensors")):
            try:
                tensors, about = load_tensors(path)
                rows = dict(zip(json.loads(about[_KEYS]), tensors[_VECTORS].numpy(), strict=True))
            except (WeightsError, ValueError, KeyError) as error:
                logger.warning("Kept embeddings are damaged and are made again: %s", error)
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
