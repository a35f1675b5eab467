"""Pickled weights run code when they are opened, so none are loaded. This module converts trusted ones, once.

python -m cultureclip.models.weights.pickles WEIGHTS.pt WEIGHTS.safetensors
"""

import argparse
import pickle
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from cultureclip.errors import CultureClipError, WeightsError
from cultureclip.models.weights.checkpoint import save_atomically
from cultureclip.models.weights.safetensors_files import strip_wrappers
from cultureclip.reading.text import first_line


def convert_pickle(path: Path, target: Path) -> None:
    """Write the tensors of a pickled file as safetensors.

    Nothing but tensors and plain containers is unpickled. A training of open_clip saves them under ``state_dict``,
    beside the optimiser's, and on several GPUs or compiled with ``module.`` or ``_orig_mod.`` before each name.

    Raises:
        WeightsError: if the file holds other objects, or no tensors by name.
        StorageError: if the disk is full or failing.
    """
    remedy = "Save its state_dict() with the code that made the model, and convert that"
    try:
        with path.open("rb") as handle:
            held = torch.load(handle, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
        raise WeightsError(path, f"holds more than tensors ({first_line(error)})", remedy) from error
    state = held.get("state_dict", held) if isinstance(held, Mapping) else {}
    tensors = {strip_wrappers(str(name)): t for name, t in state.items() if isinstance(t, torch.Tensor)}
    if not tensors:
        raise WeightsError(path, "holds no tensors by name", remedy)
    save_atomically(tensors, target, {"format": "pt"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert one file.

    Returns:
        0, or 1 after an error, which is printed as one line.
    """
    parser = argparse.ArgumentParser(prog="python -m cultureclip.models.weights.pickles", description=__doc__)
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
