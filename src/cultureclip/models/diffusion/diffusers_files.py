"""Parts, fingerprint and scheduler settings of a diffusers pipeline's directory, read without torch."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cultureclip.errors import WeightsError
from cultureclip.models.weights.config_files import check_json
from cultureclip.models.weights.fingerprint import file_digest
from cultureclip.models.weights.pickled_files import PICKLE_SUFFIXES
from cultureclip.models.weights.safetensors_files import check_weights
from cultureclip.reading.json_text import read_object
from cultureclip.reading.names import find_inside
from cultureclip.reading.text import RefusedError

INDEX_NAME = "model_index.json"
_SCHEDULER_CONFIG = Path("scheduler", "scheduler_config.json")
_REFUSED = PICKLE_SUFFIXES | {".pkl", ".msgpack", ".h5"}
_HASHED = {".json", ".txt", ".model", ".safetensors"}


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of a model directory.

    Raises:
        WeightsError: if the file is missing or holds something else.
    """
    try:
        return read_object(path)
    except FileNotFoundError as error:
        raise WeightsError(path, "no such file", "Give a directory that a diffusers pipeline was saved to") from error
    except (OSError, RefusedError) as error:
        raise WeightsError(path, str(error), "Copy or download the model again") from error


def list_parts(folder: Path) -> dict[str, tuple[str | None, str | None]]:
    """Return the parts that ``model_index.json`` lists: name -> (library, class), both null for an absent part.

    Raises:
        WeightsError: if the index cannot be read, or a part would lie outside the folder.
    """
    index = read_json(folder / INDEX_NAME)
    for name in index:
        try:
            find_inside(folder, name)
        except RefusedError as error:
            raise WeightsError(folder / INDEX_NAME, f"part {name!r} {error}", "Take the model's own release") from error
    return {
        name: (value[0], value[1])
        for name, value in index.items()
        if not name.startswith("_") and isinstance(value, list) and len(value) == 2
    }


def check_files(folder: Path) -> None:
    """Check that every part is there, its weights whole safetensors files and its configs JSON.

    Raises:
        WeightsError: if a part is missing, truncated, damaged or in a format that can run code when it is loaded.
    """
    for name, (library, _) in list_parts(folder).items():
        if library is None:
            continue
        part = folder / name
        if not part.is_dir():
            raise WeightsError(part, "listed in model_index.json, but not there", "Copy or download the model again")
        weights = sorted(part.glob("*.safetensors"))
        refused = sorted(file.name for file in part.iterdir() if file.suffix in _REFUSED)
        # Tokenizers and schedulers have no config.json of their own; a part with one is a model and needs weights.
        if not weights and (refused or (part / "config.json").is_file()):
            found = f"only {', '.join(refused)} found" if refused else "no weights file"
            remedy = "Convert it: pipeline.save_pretrained(folder, safe_serialization=True)"
            raise WeightsError(part, f"{found}; only safetensors files are loaded", remedy)
        check_weights(part)
        check_json(part)


def fingerprint(folder: Path) -> str:
    """Return SHA-256 over the names and bytes of the pipeline's index, configs, vocabularies and weights.

    The digest names the model by content: the same weights in another folder or on another machine are the same model.
    Model cards and other files beside the parts do not count.
    """
    check_files(folder)
    present = [name for name, (library, _) in list_parts(folder).items() if library is not None]
    files = [file for name in present for file in (folder / name).rglob("*") if file.suffix in _HASHED]
    total = hashlib.sha256()
    for file in sorted([folder / INDEX_NAME, *files]):
        total.update(f"{file.relative_to(folder).as_posix()}\0{file_digest(file)}\n".encode())
    return total.hexdigest()


def scheduler_settings(folder: Path, override: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return class and configuration of the scheduler that will be used.

    Args:
        folder: The pipeline directory.
        override: ``_class_name`` and settings that replace the directory's own; None keeps them.
    """
    return {**read_json(folder / _SCHEDULER_CONFIG), **(override or {})}
