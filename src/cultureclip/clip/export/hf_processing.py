"""Tokenizers and image preprocessing, between open_clip and Hugging Face's ``CLIPProcessor``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from PIL import Image
from transformers import AutoTokenizer, CLIPImageProcessor, CLIPTokenizer

from cultureclip.errors import WeightsError

_RESAMPLING = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
_STEPS = ("do_resize", "do_rescale", "do_normalize")
_START, _END = "<|startoftext|>", "<|endoftext|>"


def to_tokenizer(tokenizer: Any, source: Path) -> Any:
    """Return Hugging Face's tokenizer of the same ids.

    open_clip first fixes a text (``ftfy``, HTML entities), which Hugging Face does not. Padding differs too:
    open_clip's own tokenizer pads with 0, the token of ``!``; this one with the end token, as OpenAI's published files
    do. Padding comes after the token that is pooled and changes no embedding.

    Args:
        tokenizer: Return value of ``open_clip.get_tokenizer``: its own BPE tokenizer or a wrapped Hugging Face one.
        source: Named in the error.

    Raises:
        WeightsError: if a tokenizer of another kind.
    """
    if isinstance(tokenizer, HFTokenizer):
        converted = tokenizer.tokenizer
    elif isinstance(tokenizer, SimpleTokenizer) and len(tokenizer.all_special_ids) == 2:
        special = {tokenizer.sot_token_id: _START, tokenizer.eot_token_id: _END}
        vocabulary = {special.get(number, token): number for token, number in tokenizer.encoder.items()}
        converted = CLIPTokenizer(vocab=vocabulary, merges=list(tokenizer.bpe_ranks))
    else:
        kind = type(tokenizer).__name__
        raise WeightsError(
            source, f"a {kind} has no counterpart in CLIPProcessor", "Use the open_clip directory itself"
        )
    converted.model_max_length = tokenizer.context_length
    return converted


def load_tokenizer(source: Path) -> Any:
    """Return the Hugging Face tokenizer of a folder.

    Raises:
        WeightsError: if there is no tokenizer.
    """
    try:
        return AutoTokenizer.from_pretrained(source, local_files_only=True)
    except (OSError, ValueError) as error:
        raise WeightsError(source, f"no tokenizer ({error})", "Save the CLIPProcessor beside the model") from error


def to_image_processor(preprocess: Mapping[str, Any], source: Path) -> CLIPImageProcessor:
    """Return Hugging Face's image processor for open_clip's preprocessing config.

    Pixels are equal if the processor runs on Pillow (``backend="pil"``); on torchvision, its default, resizing
    rounds differently: mostly by one grey level.

    Args:
        preprocess: ``size`` [height, width], ``mean``, ``std``, ``interpolation`` and ``resize_mode``.
        source: Named in the error.

    Raises:
        WeightsError: if the processor cannot do this.
    """
    (height, width), mode = preprocess["size"], preprocess["resize_mode"]
    resample = _RESAMPLING.get(preprocess["interpolation"])
    if height != width or mode not in ("shortest", "squash") or resample is None:
        raise WeightsError(
            source,
            f"CLIPImageProcessor cannot do {height} x {width}, {mode}, {preprocess['interpolation']}",
            "Use the open_clip directory itself",
        )
    square = {"height": height, "width": width}
    return CLIPImageProcessor(
        size={"shortest_edge": height} if mode == "shortest" else square,
        crop_size=square,
        do_center_crop=mode == "shortest",
        resample=resample,
        image_mean=list(preprocess["mean"]),
        image_std=list(preprocess["std"]),
    )


def from_image_processor(source: Path, image_size: int) -> dict[str, Any]:
    """Return open_clip's preprocessing config for a ``CLIPImageProcessor``.

    Args:
        source: Folder of the processor.
        image_size: Edge of the model's input pictures.

    Raises:
        WeightsError: if there is no processor, or it does something that open_clip's preprocessing cannot.
    """
    try:
        processor = CLIPImageProcessor.from_pretrained(source, local_files_only=True)
    except (OSError, ValueError) as error:
        raise WeightsError(
            source, f"no image processor ({error})", "Save the CLIPProcessor beside the model"
        ) from error
    given = processor.to_dict()
    square = {"height": image_size, "width": image_size}
    cropped = given["crop_size"] == square if given["do_center_crop"] else None
    if given["size"] == {"shortest_edge": image_size} and cropped:
        mode = "shortest"
    elif given["size"] == square and cropped is not False:
        mode = "squash"
    else:
        mode = None
    interpolation = next((name for name, number in _RESAMPLING.items() if number == given["resample"]), None)
    plain = all(given[step] for step in _STEPS) and round(1 / given["rescale_factor"]) == 255
    if mode is None or interpolation is None or not plain:
        described = {key: given[key] for key in ("size", "crop_size", "do_center_crop", "resample", *_STEPS)}
        raise WeightsError(
            source,
            f"open_clip has no preprocessing to {image_size} px like this: {described}",
            "Set the processor's sizes to the model's",
        )
    return {
        "mean": given["image_mean"],
        "std": given["image_std"],
        "interpolation": interpolation,
        "resize_mode": mode,
    }
