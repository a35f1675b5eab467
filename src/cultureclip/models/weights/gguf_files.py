"""The header of a GGUF file, read without its weights, to compare the file's length with it.

Layout (GGUF 2 and 3, little endian): magic, version, counts; key-values; name, shape, type and offset of each tensor;
then the tensors, from the next multiple of ``general.alignment`` on. The ``gguf`` package's reader builds every string
of the vocabulary on the way, which takes seconds; this module skips them.
"""

import mmap
import struct
from pathlib import Path

from cultureclip.errors import WeightsError

_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Value type -> bytes; the two of no fixed size are below."""
_STRING, _ARRAY = 8, 9
_ALIGNMENT_KEY, _ALIGNMENT = b"general.alignment", 32
_VERSIONS = (2, 3)
_REMEDY = "Copy or download it again"


def check_gguf(path: Path) -> None:
    """Check that a GGUF file is whole, by its header.

    Raises:
        WeightsError: if it is missing, of another format, or shorter than its header says.
    """
    if not path.is_file():
        raise WeightsError(path, "no such weights file", "Check language_model.gguf_file")
    try:
        with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
            end = _Header(content).find_end()
    except (ValueError, KeyError, ArithmeticError, RecursionError, struct.error) as error:
        raise WeightsError(path, f"not a whole GGUF file ({type(error).__name__}: {error})", _REMEDY) from error
    if (size := path.stat().st_size) < end:
        raise WeightsError(path, f"{size} bytes long, its header says {end}", _REMEDY)


def count_gguf_parameters(path: Path) -> int:
    """Return the number of parameters in a whole GGUF file."""
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
        header = _Header(content)
        header.find_end()
        return header.parameters


class _Header:
    """A place in the file that moves on with everything that is read or skipped; it counts parameters on its way."""

    def __init__(self, content: mmap.mmap) -> None:
        self.content, self.place, self.parameters = content, 0, 0

    def find_end(self) -> int:
        """Return the end of the last tensor, in bytes from the file's start."""
        from gguf.constants import GGML_QUANT_SIZES

        if self.content[:4] != b"GGUF":
            raise ValueError("it does not begin with GGUF")
        self.place = 4
        if (version := self.number("I")) not in _VERSIONS:
            raise ValueError(f"version {version}")
        tensors, pairs = self.number("Q"), self.number("Q")
        alignment, end = _ALIGNMENT, 0
        for _ in range(pairs):
            key, kind = self.text(), self.number("I")
            if key == _ALIGNMENT_KEY:
                alignment = self.number("I")
            else:
                self.skip(kind)
        for _ in range(tensors):
            self.text()
            elements = 1
            for _ in range(self.number("I")):
                elements *= self.number("Q")
            self.parameters += elements
            block, block_bytes = GGML_QUANT_SIZES[self.number("I")]  # type: ignore[index]  # an IntEnum's value will do
            end = max(end, self.number("Q") + elements // block * block_bytes)
        return -(-self.place // alignment) * alignment + end

    def number(self, kind: str) -> int:
        """Return the next number, of a ``struct`` type."""
        (value,) = struct.unpack_from(f"<{kind}", self.content, self.place)
        self.place += struct.calcsize(f"<{kind}")
        return int(value)

    def text(self) -> bytes:
        """Return the next string."""
        length = self.number("Q")
        start, self.place = self.place, self.place + length
        return self.content[start : self.place]

    def skip(self, kind: int) -> None:
        """Go past a value of a type."""
        if kind == _STRING:
            self.text()
        elif kind == _ARRAY:
            item, count = self.number("I"), self.number("Q")
            if item in _SIZES:
                self.place += count * _SIZES[item]
            else:
                for _ in range(count):
                    self.skip(item)
        elif kind in _SIZES:
            self.place += _SIZES[kind]
        else:
            raise ValueError(f"value type {kind}")
