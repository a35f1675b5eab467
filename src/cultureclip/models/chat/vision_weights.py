"""The files of a vision-language model: loaded from safetensors with their processor, or refused by name."""

import struct
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from cultureclip.errors import WeightsError
from cultureclip.models.placement import Placement
from cultureclip.models.weights.text_weights import check_complete, missing_package

_AGAIN = "Copy or download the whole model again, from one release"


def is_vision_model(folder: Path) -> bool:
    """Tell whether a directory's config is of a vision-language class.

    Raises:
        WeightsError: if there is no config that ``transformers`` reads.
    """
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, RecursionError) as error:
        raise WeightsError(folder, f"no config that transformers reads ({error})", _AGAIN) from error
    return config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES


def read_vision_model(folder: Path, placement: Placement) -> tuple[Any, Any]:
    """Load the model, in evaluation mode, and its processor, which pads on the left.

    Raises:
        WeightsError: if a file is truncated, missing or not what the config says, or if there is no processor, no
            tokenizer or no chat template.
    """
    options: dict[str, Any] = {**placement.options(), "use_safetensors": True, "local_files_only": True}
    try:
        model, info = AutoModelForImageTextToText.from_pretrained(folder, output_loading_info=True, **options)
    except ImportError as error:
        raise missing_package(error) from error
    except (OSError, ValueError, RuntimeError, KeyError, IndexError, SafetensorError, struct.error) as error:
        raise WeightsError(folder, f"the model does not load ({type(error).__name__}: {error})", _AGAIN) from error
    check_complete(info, folder)
    return placement.put(model).eval(), _read_processor(folder)


def _read_processor(folder: Path) -> Any:
    try:
        processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        raise WeightsError(
            folder, f"no processor that loads ({error})", "Copy preprocessor and tokenizer files too"
        ) from error
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is None or not hasattr(processor, "image_processor"):
        raise WeightsError(folder, "its processor has no tokenizer or no image processor", _AGAIN)
    if not (processor.chat_template or tokenizer.chat_template):
        raise WeightsError(folder, "its processor has no chat template", "Use an instruction-tuned model")
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return processor
