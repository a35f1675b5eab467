"""Whether the models that mine, judge and are tuned share weights: then one's blind spots are the other's, too."""

import hashlib
import json
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

from cultureclip.errors import WeightsError
from cultureclip.models.settings import ModelFiles
from cultureclip.models.weights.files import find_weights
from cultureclip.models.weights.fingerprint import file_digest
from cultureclip.models.weights.locate import locate
from cultureclip.models.weights.safetensors_files import check_safetensors

_LEAST_SHARE = 0.01
"""Smaller shares are not reported."""


def find_shared(models: Mapping[str, ModelFiles]) -> list[dict[str, Any]]:
    """Find the models that have weights in common, such as a tower that one was built from.

    Weights are the same when a matrix (or a tensor of more axes) has the same bytes in both, whatever its name. Copies
    in another number type, or stored transposed or joined with others, are not recognised. A GGUF file counts as one.

    Args:
        models: Part that a model plays -> the model.

    Returns:
        Pairs: ``parts`` (two of them, sorted) and ``share``, of the smaller model's bytes in matrices, that is in the
        other, too.

    Raises:
        WeightsError: if a model is not there or damaged.
    """
    sizes = {name: _matrices(model) for name, model in models.items()}
    found = []
    for one, other in combinations(sorted(models), 2):
        common = sum(size for key, size in sizes[one].items() if key in sizes[other])
        share = common / max(1, min(sum(sizes[one].values()), sum(sizes[other].values())))
        if share >= _LEAST_SHARE:
            found.append({"parts": [one, other], "share": share})
    return found


def _matrices(model: ModelFiles) -> dict[str, int]:
    """Return digest -> bytes of a model's matrices."""
    place = locate(model.path)
    if model.gguf_file is None:
        return {key: size for file in find_weights(place) for key, size in _read_matrices(file).items()}
    file = place / model.gguf_file
    if not file.is_file():
        raise WeightsError(file, "no such file", "Give the name of the model's GGUF file")
    return {file_digest(file): file.stat().st_size}


def _read_matrices(file: Path) -> dict[str, int]:
    """Read the tensors with two axes or more; those of zeros, which are alike in all models, are left out."""
    check_safetensors(file)
    found = {}
    with file.open("rb") as handle:
        start = 8 + (length := int.from_bytes(handle.read(8), "little"))
        tensors = json.loads(handle.read(length))
        for name, tensor in tensors.items():
            if name == "__metadata__" or len(tensor["shape"]) < 2:
                continue
            first, last = tensor["data_offsets"]
            handle.seek(start + first)
            content = handle.read(last - first)
            if content.count(0) < len(content):
                found[hashlib.sha256(content).hexdigest()] = len(content)
    return found
