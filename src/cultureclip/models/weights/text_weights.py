"""The files of a causal language model: found, refused when unsafe or broken, hashed, loaded."""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import transformers
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer

from cultureclip.errors import ConfigurationError, WeightsError
from cultureclip.ids import digest
from cultureclip.models.finite import check_finite
from cultureclip.models.memory import is_out_of_memory
from cultureclip.models.placement import Placement
from cultureclip.models.weights.config_files import check_json
from cultureclip.models.weights.fingerprint import file_digest
from cultureclip.models.weights.pickled_files import PICKLE_SUFFIXES
from cultureclip.reading.text import first_line

_BESIDE_WEIGHTS = ("*.json", "*.jinja", "merges.txt", "*.model")
"""Configs, chat template, vocabulary."""

MEMORY_REMEDY = "Set language_model.dtype to bfloat16, take a smaller model, or another language_model.device"
_PICKLES = PICKLE_SUFFIXES | {".pkl"}


def read_weights(folder: Path, gguf_file: str | None, placement: Placement) -> tuple[Any, Any]:
    """Load the model, in evaluation mode, and its tokenizer.

    Raises:
        WeightsError: if a file is truncated, differs from the config, or holds NaN or infinity.
        ConfigurationError: if the package of the quantisation is missing.
        RuntimeError: if the model does not fit into the device's memory.
    """
    options: dict[str, Any] = {"local_files_only": True, "gguf_file": gguf_file}
    packed = getattr(transformers, "GgufConfig", None)  # older releases always unpack; packed blocks compute slower
    unpack = {"quantization_config": packed(dequantize=True)} if gguf_file and packed else {}
    check_json(folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, use_safetensors=True, output_loading_info=True, **placement.options(), **options, **unpack
        )
    except ImportError as error:
        raise missing_package(error) from error
    except (OSError, ValueError, RuntimeError, KeyError, IndexError, SafetensorError, struct.error) as error:
        if is_out_of_memory(error):
            raise
        reason = f"the model does not load ({type(error).__name__}: {error})"
        raise WeightsError(folder, reason, "Copy or download the whole model again, from one release") from error
    model, info = loaded
    check_complete(info, folder)
    if not tokenizer.chat_template:
        raise WeightsError(folder, "its tokenizer has no chat template", "Use an instruction-tuned model")
    check_finite(model.state_dict(), folder / gguf_file if gguf_file else folder)
    return placement.put(model).eval(), tokenizer


def missing_package(error: ImportError) -> ConfigurationError:
    """Describe a quantisation whose package is not installed."""
    return ConfigurationError("language_model.quantization", first_line(error), "Install the package")


def check_complete(info: Mapping[str, Any], folder: Path) -> None:
    """Make sure that the files had every weight of the config.

    Args:
        info: Loading info of ``from_pretrained``.
        folder: Directory of the model.

    Raises:
        WeightsError: if a weight is missing: it would be random.
    """
    if info["missing_keys"]:
        names = ", ".join(sorted(info["missing_keys"])[:3])
        raise WeightsError(
            folder, f"weights that the config asks for are missing: {names}", "Take both from one release"
        )


def list_weight_files(folder: Path, gguf_file: str | None) -> list[Path]:
    """Return every file of the model, in a fixed order.

    Raises:
        WeightsError: if there are no weights, or only pickled ones.
    """
    if gguf_file is not None:
        if not gguf_file.endswith(".gguf"):
            raise WeightsError(
                folder / gguf_file, "not a GGUF file", "Leave gguf_file empty for a safetensors directory"
            )
        if not (folder / gguf_file).is_file():
            raise WeightsError(folder / gguf_file, "no such weights file", "Check language_model.gguf_file")
        return [folder / gguf_file]
    weights = sorted(folder.glob("*.safetensors"))
    if weights:
        return weights + [path for pattern in _BESIDE_WEIGHTS for path in sorted(folder.glob(pattern))]
    pickles = [p for p in sorted(folder.iterdir()) if p.suffix in _PICKLES] if folder.is_dir() else [folder]
    if pickles:
        remedy = "Convert it on a machine you trust: AutoModelForCausalLM.from_pretrained(...).save_pretrained(...)"
        raise WeightsError(pickles[0], "pickled weights are not loaded, they can run code", remedy)
    raise WeightsError(folder, "no safetensors weights here", "Check the path; a GGUF file must be named by gguf_file")


def fingerprint_files(files: list[Path], placement: Placement) -> str:
    """Digest the names and bytes of the files, the number type and the quantisation."""
    return digest("language model", [(path.name, file_digest(path)) for path in files], placement.describe())
