"""Safetensors files, checked by their headers: nothing is loaded, and no torch is needed."""

import re
from pathlib import Path

from safetensors import SafetensorError, safe_open

from cultureclip.errors import WeightsError
from cultureclip.models.weights.pickled_files import is_pickle, refuse_pickle
from cultureclip.reading.json_text import read_object
from cultureclip.reading.names import find_inside
from cultureclip.reading.text import RefusedError

_REMEDY = "Copy or download it again"
_WRAPPERS = re.compile(r"^(?:module\.|_orig_mod\.)+|(?<=\.)_orig_mod\.")


def check_safetensors(path: Path) -> None:
    """Check that a file is as long as its header says and that the header can be read.

    Raises:
        WeightsError: if it is not there, is cut off, or has another format.
    """
    if not path.is_file():
        raise WeightsError(path, "no such weights file", _REMEDY)
    if is_pickle(path):
        raise refuse_pickle(path, path.with_suffix(".safetensors"))
    try:
        with safe_open(path, framework="numpy") as handle:
            handle.keys()
    except SafetensorError as error:
        raise WeightsError(path, f"not a whole safetensors file ({error})", _REMEDY) from error


def strip_wrappers(name: str) -> str:
    """Take the prefixes of distributed training (``module.``) and ``torch.compile`` (``_orig_mod.``) off a name.

    The shards may be in any order. A compiled part has its prefix inside the name.
    """
    return _WRAPPERS.sub("", name)


def check_weights(folder: Path) -> None:
    """Check all safetensors files of a folder, and that every file that an index of shards names is among them.

    Raises:
        WeightsError: if a file is missing or cut off, or an index cannot be read.
    """
    files = set(folder.glob("*.safetensors"))
    for index in folder.glob("*.safetensors.index.json"):
        try:
            files |= {find_inside(folder, name) for name in read_object(index)["weight_map"].values()}
        except (OSError, RefusedError, TypeError, AttributeError, KeyError) as error:
            raise WeightsError(index, f"not an index of weights ({error!r})", _REMEDY) from error
    for file in sorted(files):
        check_safetensors(file)
