"""Recognise pickled weights, which can run code when they are opened, and refuse them."""

import shlex
from pathlib import Path

from cultureclip.errors import WeightsError

PICKLE_SUFFIXES = {".bin", ".pt", ".pth", ".ckpt"}
_BEGINNINGS = (b"PK\x03\x04", b"\x80\x02\x8a\x0a")


def is_pickle(path: Path) -> bool:
    """Tell whether a file begins like ``torch.save``'s: as a zip archive or, before torch 1.6, with a magic number."""
    with path.open("rb") as handle:
        return handle.read(4) in _BEGINNINGS


def refuse_pickle(path: Path, target: Path) -> WeightsError:
    """Describe a pickled file as an error that names the command which converts it to ``target``."""
    command = shlex.join(["python", "-m", "cultureclip.models.weights.pickles", str(path), str(target)])
    return WeightsError(
        path, "a pickled file; only safetensors files are loaded", f"Where you trust it, convert it: {command}"
    )
