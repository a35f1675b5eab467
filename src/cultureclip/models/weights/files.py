"""Check that a model's files are whole, before a run begins: only headers and configs are read, no weights.

A truncated download or a half-copied folder would otherwise show at the model's first use, hours into a run.
"""

import filecmp
from collections.abc import Sequence
from pathlib import Path

from cultureclip.errors import WeightsError
from cultureclip.models.diffusion.diffusers_files import INDEX_NAME, check_files
from cultureclip.models.weights.config_files import check_json
from cultureclip.models.weights.fingerprint import CONFIG_FILES, list_weights
from cultureclip.models.weights.gguf_files import check_gguf
from cultureclip.models.weights.safetensors_files import check_safetensors, check_weights
from cultureclip.reading.json_text import read_object

_CONFIGS = CONFIG_FILES[:2]
"""Config files of which one identifies a model, whatever the other files."""
_HAVE_THEIR_OWN = ("open_clip_config.json", "modules.json")
"""Where one of these is, another library finds tokenizer and preprocessing by itself."""
_TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "vocab.txt")
_PROCESSORS = ("preprocessor_config.json", "processor_config.json")


def check_model(path: Path, gguf_file: str | None = None) -> None:
    """Check the files of a model of any kind.

    Args:
        path: A diffusers pipeline's directory; one of ``open_clip``, ``transformers`` or ``sentence-transformers``; or
            a bare safetensors file.
        gguf_file: Name of the GGUF file in the directory, if it holds the weights.

    Raises:
        WeightsError: if weights or a config are missing, cut off or in a refused format.
    """
    if path.is_file():
        check_safetensors(path)
    elif gguf_file is not None:
        check_gguf(path / gguf_file)
    elif (path / INDEX_NAME).is_file():
        check_files(path)
    else:
        list_weights(path)
        check_weights(path)
        if not any((path / name).is_file() for name in _CONFIGS):
            raise WeightsError(path, f"neither {' nor '.join(_CONFIGS)} in it", "Copy or download the whole model")
        check_json(path)
        _check_companions(path)


def _check_companions(folder: Path) -> None:
    """Make sure that a model of ``transformers`` has its tokenizer and, if it sees, its image processor.

    Raises:
        WeightsError: if one is missing.
    """
    config = folder / "config.json"
    if any((folder / name).is_file() for name in _HAVE_THEIR_OWN) or not config.is_file():
        return
    sees = "vision_config" in read_object(config)
    for what, names in {"tokenizer": _TOKENIZERS, **({"image processor": _PROCESSORS} if sees else {})}.items():
        if not any((folder / name).is_file() for name in names):
            cause = f"it has no {what} ({' or '.join(names)})"
            raise WeightsError(folder, cause, "Copy it from the model's release, beside the weights")


def find_weights(path: Path) -> list[Path]:
    """Return the files that hold a model's weights: a bare file itself, or those in a directory.

    Raises:
        WeightsError: if there are no weights.
    """
    return [path] if path.is_file() else list_weights(path)


def are_same_weights(ones: Sequence[Path], others: Sequence[Path]) -> bool:
    """Tell whether two models' files are the same or hold the same bytes; stop at the first byte that differs."""
    return len(ones) == len(others) and all(
        one.samefile(other) or filecmp.cmp(one, other, shallow=False) for one, other in zip(ones, others, strict=True)
    )
