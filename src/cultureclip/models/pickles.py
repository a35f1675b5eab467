"""Pickled weights run code when they are opened, so none are loaded. This converts those that you trust, once.

python -m cultureclip.models.pickles WEIGHTS.pt WEIGHTS.safetensors
"""

import argparse
import pickle
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from cultureclip.errors import CultureClipError, WeightsError

PICKLE_SUFFIXES = {".bin", ".pt", ".pth", ".ckpt"}
_BEGINNINGS = (b"PK\x03\x04", b"\x80\x02\x8a\x0a")


def is_pickle(path: Path) -> bool:
    """Whether a file begins as ``torch.save``'s do: as a zip archive or, before torch 1.6, with its magic number."""
    with path.open("rb") as handle:
        return handle.read(4) in _BEGINNINGS


def refuse_pickle(path: Path, target: Path) -> WeightsError:
    """The error for a pickled file: which command makes ``target`` of it."""
    command = shlex.join(["python", "-m", "cultureclip.models.pickles", str(path), str(target)])
    return WeightsError(
        path, "a pickled file; only safetensors files are loaded", f"Where you trust it, convert it: {command}"
    )


def convert_pickle(path: Path, target: Path) -> None:
    """Write the tensors of a pickled file as safetensors.

    Nothing but tensors and plain containers is unpickled. A training of open_clip saves them under ``state_dict``,
    beside the optimiser's, and on several GPUs with ``module.`` before each name.

    Raises:
        WeightsError: the file holds other objects, or no tensors by name.
        StorageError: the disk is full or failing.
    """
    import torch

    from cultureclip.models.checkpoint import save_atomically

    remedy = "Save its state_dict() where the model was made, and convert that"
    try:
        with path.open("rb") as handle:
            held = torch.load(handle, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
        raise WeightsError(path, f"holds more than tensors ({str(error).splitlines()[0]})", remedy) from error
    state = held.get("state_dict", held) if isinstance(held, Mapping) else {}
    tensors = {name.removeprefix("module."): t for name, t in state.items() if isinstance(t, torch.Tensor)}
    if not tensors:
        raise WeightsError(path, "holds no tensors by name", remedy)
    save_atomically(tensors, target, {"format": "pt"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert one file.

    Returns:
        0, or 1 after an error, which is printed as one line.
    """
    parser = argparse.ArgumentParser(prog="python -m cultureclip.models.pickles", description=__doc__)
    parser.add_argument("source", type=Path, metavar="SOURCE", help="file that torch.save wrote")
    parser.add_argument("destination", type=Path, metavar="DESTINATION", help="safetensors file")
    options = parser.parse_args(arguments)
    try:
        convert_pickle(options.source, options.destination)
    except (CultureClipError, OSError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
