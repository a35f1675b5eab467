"""CLIP and SigLIP as ``transformers`` keeps them: config, safetensors weights, preprocessor and tokenizer."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor

from cultureclip.errors import WeightsError
from cultureclip.models.encoder import ImageTextEncoder
from cultureclip.models.finite import check_finite
from cultureclip.models.memory import fitting_into_memory
from cultureclip.models.weights.fingerprint import fingerprint
from cultureclip.reading.json_text import read_object
from cultureclip.reading.text import RefusedError

logger = logging.getLogger(__name__)

_SMALLER = "Take a smaller model or another device"
_HALF = (0.5, 0.5, 0.5)
_EXPECTED = {
    "clip": (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD),
    "siglip": (_HALF, _HALF),
}
"""``model_type`` -> mean and std that its released models were trained with."""
_LEGACY_END = 2  # configs from before transformers 4.31; the end token is then the highest id in a text


@dataclass
class HuggingFaceEncoder(ImageTextEncoder):
    """A ``transformers`` ``CLIPModel`` or ``SiglipModel``, ready to embed.

    CLIP's text tower is causal and pools at the end token, so texts are cut to a batch's longest; SigLIP's looks at its
    padding and pools at the last position, so every text keeps all of its positions.
    """

    def count_tokens(self, tokens: Tensor) -> Tensor:
        """Return how many tokens of each text [N, L] its embedding depends on, int64 [N]."""
        if self.model.config.model_type != "clip":
            return torch.full((len(tokens),), tokens.shape[1])
        end = self.model.config.text_config.eos_token_id
        ends = tokens.argmax(-1) if end == _LEGACY_END else (tokens == end).int().argmax(-1)
        return ends + 1

    def _image_vectors(self, pixels: Tensor) -> Tensor:
        return _pooled(self.model.get_image_features(pixel_values=pixels))

    def _text_vectors(self, tokens: Tensor) -> Tensor:
        return _pooled(self.model.get_text_features(input_ids=tokens))


def load_huggingface(path: str | Path, device: str = "cpu") -> HuggingFaceEncoder:
    """Load a ``transformers`` CLIP or SigLIP directory (SigLIP 2 of fixed resolution is of SigLIP's type).

    Args:
        path: The directory, as ``save_pretrained`` of the model and of its processor write it.
        device: Device of the weights.

    Raises:
        WeightsError: if it is of another type; weights, preprocessor or tokenizer are missing, damaged, or do not fit.
    """
    from transformers import AutoTokenizer, CLIPModel, SiglipModel

    folder = Path(path)
    config = _read_json(folder / "config.json")
    kind = config.get("model_type")
    if kind not in _EXPECTED:
        raise WeightsError(
            folder / "config.json",
            f"model_type is {kind!r}",
            f"Models of type {' and '.join(_EXPECTED)}, and open_clip directories, can be evaluated",
        )
    own = fingerprint(folder)
    preprocess = _load_preprocess(folder, kind)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        with fitting_into_memory(folder, _SMALLER, f"the memory of {device}"):
            model, found = {"clip": CLIPModel, "siglip": SiglipModel}[kind].from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
            )
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, SafetensorError) as error:
        raise WeightsError(folder, f"does not load ({error})", "Copy or download it again, whole") from error
    _check_loaded(folder, model, found)
    _check_activation(folder / "config.json", str(config.get("_name_or_path", "")), model.config)
    _check_size(folder, preprocess, model.config)
    length = int(model.config.text_config.max_position_embeddings)

    def tokenize(texts: list[str], context_length: int = length) -> Tensor:
        # SigLIP was trained on texts padded to the full length; CLIP's padding is cut off again, exactly
        tokens: Tensor = tokenizer(
            texts, padding="max_length", max_length=context_length, truncation=True, return_tensors="pt"
        ).input_ids
        return tokens

    with fitting_into_memory(folder, _SMALLER, f"the memory of {device}"):
        return HuggingFaceEncoder(model.to(device).eval(), preprocess, tokenize, own, folder)


def _pooled(output: Any) -> Tensor:
    """Return the vectors of ``get_*_features``: a tensor in transformers 4, an output with fields in 5."""
    return output if isinstance(output, Tensor) else output.pooler_output


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return read_object(path)
    except (OSError, RefusedError) as error:
        raise WeightsError(path, f"cannot be read ({error})", "Copy or download it again") from error


def _load_preprocess(folder: Path, kind: str) -> Any:
    """Return the function PIL image -> [3, H, W], on Pillow's resampling, with which the models were trained.

    Missing fields of a preprocessor's file would be filled in silently, so mean and std are required.
    """
    from transformers import AutoImageProcessor

    names = ("preprocessor_config.json", "processor_config.json")
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        raise WeightsError(
            folder, "no preprocessor_config.json in it", "Save the model's processor beside it: save_pretrained"
        )
    content = _read_json(path)
    given = content.get("image_processor") or content
    absent = [name for name in ("image_mean", "image_std") if name not in given]
    if absent:
        raise WeightsError(path, f"lacks {' and '.join(absent)}", "Take it from the model's own release")
    for name, values in zip(("image_mean", "image_std"), _EXPECTED[kind], strict=True):
        if not np.allclose(given[name], values, atol=1e-3):
            logger.warning(
                "%s: %s is %s, released %s models have %s: right only if this model was trained so",
                path,
                name,
                given[name],
                kind,
                list(values),
            )
    try:
        processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True, backend="pil")
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise WeightsError(path, f"no image processor ({error})", "Take it from the model's own release") from error

    def preprocess(image: Image.Image) -> Tensor:
        pixels: Tensor = processor(images=image, return_tensors="pt").pixel_values[0]
        return pixels

    return preprocess


def _check_loaded(folder: Path, model: Any, found: dict[str, Any]) -> None:
    """Refuse absent or misshapen weights, which would be random and only logged."""
    wrong = [*found["missing_keys"], *(str(key) for key in found.get("mismatched_keys", ()))]
    if wrong:
        raise WeightsError(
            folder, f"the weights lack {len(wrong)} tensors, such as {sorted(wrong)[0]}", "Take all from one release"
        )
    check_finite(model.state_dict(), folder)


def _check_activation(path: Path, origin: str, config: Any) -> None:
    """Check the activation: QuickGELU taken for GELU, or the reverse, costs accuracy and raises no error."""
    towers = {config.text_config.hidden_act, config.vision_config.hidden_act}
    if len(towers) > 1:
        cause = f"the towers compute different activations ({', '.join(sorted(towers))})"
    elif origin.startswith("openai/clip") and towers != {"quick_gelu"}:
        cause = f"OpenAI's weights were trained with quick_gelu, hidden_act is {towers.pop()}"
    else:
        return
    raise WeightsError(path, cause, "Set hidden_act of both towers to the activation of the training")


def _check_size(folder: Path, preprocess: Any, config: Any) -> None:
    edge = config.vision_config.image_size
    made = tuple(preprocess(Image.new("RGB", (edge + 8, edge))).shape)
    if made != (3, edge, edge):
        raise WeightsError(
            folder, f"the preprocessor makes {made} of an image, the model takes {(3, edge, edge)}", "Take one release"
        )
