"""Numbers of parameters of a model's files, by their headers: no weights are read."""

import json
import re
import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cultureclip.models.diffusion.diffusers_files import INDEX_NAME, list_parts
from cultureclip.models.weights.gguf_files import count_gguf_parameters
from cultureclip.reading.json_text import read_object

BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I64": 8, "I32": 4, "I16": 2, "I8": 1}
"""Number type in a safetensors header -> bytes; U8 and BOOL have one, too."""
DTYPE_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
"""Number type of a configuration -> bytes of a parameter at work."""
_VARIANT = re.compile(r"\.fp\d+[.-]")
"""In the name of a copy in another precision, which only ``variant=`` loads."""
_FLOATS = frozenset(name for name in BYTES if name.startswith(("F", "B")))


@dataclass(frozen=True)
class ParameterCounts:
    """What the headers of a model's files say.

    Attributes:
        floats: Parameters that take the number type of the computation.
        kept_bytes: Bytes of what keeps its type, such as positions.
        stored_bytes: Bytes of all tensors in the files.
    """

    floats: int
    kept_bytes: int
    stored_bytes: int

    def bytes_in(self, dtype: str) -> int | None:
        """Return the bytes of the weights in a number type; None for one that does not say how large a number is."""
        return None if dtype not in DTYPE_BYTES else self.floats * DTYPE_BYTES[dtype] + self.kept_bytes


def count_parameters(path: Path, gguf_file: str | None = None) -> ParameterCounts:
    """Count the parameters of a model whose files were found whole.

    Args:
        path: A diffusers pipeline's directory, one of another library, or a bare safetensors file.
        gguf_file: Name of the GGUF file in the directory, if it holds the weights.
    """
    if gguf_file is not None:
        return ParameterCounts(count_gguf_parameters(path / gguf_file), 0, (path / gguf_file).stat().st_size)
    if path.is_file():
        return _sum([path])
    if (path / INDEX_NAME).is_file():
        parts = [name for name, (library, _) in list_parts(path).items() if library is not None]
        return _sum([file for name in parts for file in _weights_of(path / name)])
    return _sum(_weights_of(path))


def _weights_of(folder: Path) -> list[Path]:
    """Return the weights of a folder that its library reads: those of an index, and of several precisions the plain."""
    files, indexes = (sorted(_plain(folder, ending)) for ending in (".safetensors", ".safetensors.index.json"))
    shards = {str(name) for index in indexes for name in read_object(index)["weight_map"].values()}
    return [file for file in files if not shards or file.name in shards]


def _plain(folder: Path, ending: str) -> list[Path]:
    every = list(folder.glob(f"*{ending}"))
    return [file for file in every if not _VARIANT.search(file.name)] or every


def _sum(files: list[Path]) -> ParameterCounts:
    numbers: Counter[str] = Counter()
    for file in files:
        for tensor in _read_header(file):
            elements = 1
            for edge in tensor["shape"]:
                elements *= edge
            numbers[tensor["dtype"]] += elements
    sizes = {kind: count * BYTES.get(kind, 1) for kind, count in numbers.items()}
    kept = sum(size for kind, size in sizes.items() if kind not in _FLOATS)
    return ParameterCounts(sum(numbers[kind] for kind in _FLOATS), kept, sum(sizes.values()))


def _read_header(path: Path) -> list[dict[str, Any]]:
    """Return the tensors of a safetensors header: eight bytes of its length, then JSON."""
    with path.open("rb") as handle:
        (length,) = struct.unpack("<Q", handle.read(8))
        header = json.loads(handle.read(length))
    return [tensor for name, tensor in header.items() if name != "__metadata__"]
