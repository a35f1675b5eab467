"""Digest of an image-text model: weights, config, preprocessing and tokenizer, read without loading the model."""

import hashlib
from functools import lru_cache
from pathlib import Path

from cultureclip.errors import WeightsError
from cultureclip.models.weights.config_files import check_json
from cultureclip.models.weights.pickled_files import PICKLE_SUFFIXES, refuse_pickle

WEIGHTS_SUFFIX = ".safetensors"
CONFIG_FILES = ("open_clip_config.json", "config.json", "preprocessor_config.json", "processor_config.json")
"""Model and preprocessing, of ``open_clip`` and of ``transformers``."""

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)
"""Files of Hugging Face tokenizers; a directory has some of them, or none (open_clip's own tokenizer)."""


def fingerprint(path: str | Path) -> str:
    """Return the SHA-256 over all files of a model's directory that decide an embedding, without cards and notes.

    Args:
        path: Directory of an ``open_clip`` or ``transformers`` model.

    Raises:
        WeightsError: if there is no such directory, it lacks safetensors or a config, or a JSON file is damaged.
    """
    folder = Path(path)
    weights = list_weights(folder)
    check_json(folder)
    named = [folder / name for name in (*CONFIG_FILES, *TOKENIZER_FILES) if (folder / name).is_file()]
    if not any(p.name in CONFIG_FILES[:2] for p in named):
        raise WeightsError(folder, f"neither {CONFIG_FILES[0]} nor {CONFIG_FILES[1]} in it", "Copy the model, whole")
    lines = [f"{p.name} {file_digest(p)}\n" for p in sorted({*weights, *named})]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def list_weights(folder: Path) -> list[Path]:
    """Return the weights files of a model's directory, sorted.

    Raises:
        WeightsError: if there is no such directory, or it lacks weights in safetensors (pickled ones can be converted).
    """
    if not folder.is_dir():
        raise WeightsError(folder, "no such model directory", "Give a model's directory")
    weights = sorted(p for p in folder.iterdir() if p.suffix == WEIGHTS_SUFFIX)
    if not weights:
        _refuse_pickled(folder)
        raise WeightsError(folder, f"no *{WEIGHTS_SUFFIX} file in it", "Copy or download the model, whole")
    return weights


def file_digest(path: Path) -> str:
    """Return SHA-256 of a file's bytes; a file of the same size and time is read once in a process."""
    status = path.stat()
    return _file_digest(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _file_digest(path: Path, size: int, changed: int) -> str:  # noqa: ARG001  these show a change of the file
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _refuse_pickled(folder: Path) -> None:
    pickled = [p for p in folder.iterdir() if p.suffix in PICKLE_SUFFIXES]
    if pickled:
        name = "open_clip_model" if (folder / CONFIG_FILES[0]).is_file() else "model"
        largest = max(pickled, key=lambda p: (p.stat().st_size, p.name))  # an optimiser's state may be beside it
        raise refuse_pickle(largest, folder / f"{name}{WEIGHTS_SUFFIX}")
