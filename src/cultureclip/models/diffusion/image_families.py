"""Families of text-to-image pipelines: their defaults, and the names of what their text encoders give. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cultureclip.errors import ConfigurationError
from cultureclip.models.diffusion.diffusers_files import INDEX_NAME, read_json

_NEEDED = ("num_inference_steps", "height", "width")
_POOLED = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
_MASKED = ("prompt_embeds", "prompt_attention_mask", "negative_prompt_embeds", "negative_prompt_attention_mask")


@dataclass(frozen=True)
class Family:
    """Pipelines of one class of diffusers.

    Attributes:
        embeds: Arguments of the pipeline's call that take the results of ``encode_prompt``, in their order; an empty
            name for a result that the call computes again by itself.
        dtype: Number type in which the family's weights are released or recommended.
        call: Arguments of the pipeline's call, for those that the configuration leaves open.
        negative_apart: Whether the negative prompt is embedded by a second call of ``encode_prompt``, for guidance by
            ``true_cfg_scale``.
    """

    embeds: tuple[str, ...]
    dtype: str
    call: Mapping[str, Any]
    negative_apart: bool = False


def _square(side: int, steps: int, **others: Any) -> dict[str, Any]:
    return {"num_inference_steps": steps, "height": side, "width": side, **others}


FAMILIES: Mapping[str, Family] = {
    "StableDiffusion3Pipeline": Family(
        _POOLED, "bfloat16", _square(1024, 28, guidance_scale=4.5, max_sequence_length=256)
    ),
    "StableDiffusionXLPipeline": Family(_POOLED, "float16", _square(1024, 30, guidance_scale=5.0)),
    "FluxPipeline": Family(
        ("prompt_embeds", "pooled_prompt_embeds", ""),
        "bfloat16",
        _square(1024, 28, guidance_scale=3.5, max_sequence_length=512),
        negative_apart=True,
    ),
    "PixArtAlphaPipeline": Family(
        _MASKED, "bfloat16", _square(1024, 20, guidance_scale=4.5, max_sequence_length=120, clean_caption=False)
    ),
    "PixArtSigmaPipeline": Family(
        _MASKED, "bfloat16", _square(1024, 20, guidance_scale=4.5, max_sequence_length=300, clean_caption=False)
    ),
    "SanaPipeline": Family(_MASKED, "bfloat16", _square(1024, 20, guidance_scale=4.5, max_sequence_length=300)),
    "QwenImagePipeline": Family(
        ("prompt_embeds", "prompt_embeds_mask"),
        "bfloat16",
        _square(1328, 50, true_cfg_scale=4.0, negative_prompt=" ", max_sequence_length=512),
        negative_apart=True,
    ),
}
"""Name of the pipeline's class, as ``model_index.json`` has it -> its family."""


def find_family(folder: Path) -> Family | None:
    """Return the family of a pipeline's directory, or None for a class without a line in :data:`FAMILIES`.

    Raises:
        WeightsError: if the directory's index cannot be read.
    """
    return FAMILIES.get(str(read_json(folder / INDEX_NAME).get("_class_name")))


def complete_call(folder: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all arguments of the call: the given ones, and the family's defaults for the others.

    Raises:
        ConfigurationError: if the family is unknown and the number of steps or the size is left open.
        WeightsError: if the directory's index cannot be read.
    """
    family = find_family(folder)
    call = {**(family.call if family else {}), **given}
    if absent := [name for name in _NEEDED if name not in call]:
        cause = f"not set, and there is no default for the pipeline in {folder}"
        raise ConfigurationError(f"synthesis.call.{absent[0]}", cause, f"Set {', '.join(absent)}")
    return call


def choose_dtype(folder: Path, dtype: str | None) -> str:
    """Return the number type: the given one, or the family's.

    Raises:
        ConfigurationError: if neither is known.
        WeightsError: if the directory's index cannot be read.
    """
    if dtype is not None:
        return dtype
    if (family := find_family(folder)) is None:
        cause = f"not set, and there is no default for the pipeline in {folder}"
        raise ConfigurationError("synthesis.dtype", cause, "Set it to bfloat16, float16 or float32")
    return family.dtype
