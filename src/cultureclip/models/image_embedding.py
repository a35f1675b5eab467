"""Prompts embedded before the pipeline's call, as the call itself would embed them."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cultureclip.models.diffusion.image_families import Family


@dataclass(frozen=True)
class EmbeddedPrompts:
    """What text encoders make of B prompts; slices are those of some of the prompts.

    Attributes:
        tensors: Argument of the pipeline's call -> a tensor whose first axis is the prompts, or None.
        count: Number of the prompts, B.
    """

    tensors: Mapping[str, Tensor | None]
    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, cut: slice) -> "EmbeddedPrompts":
        """Return the embeddings of some of the prompts."""
        tensors = {name: None if tensor is None else tensor[cut] for name, tensor in self.tensors.items()}
        return EmbeddedPrompts(tensors, len(range(self.count)[cut]))

    def to(self, device: str) -> "EmbeddedPrompts":
        """Return the embeddings on another device."""
        tensors = {name: None if tensor is None else tensor.to(device) for name, tensor in self.tensors.items()}
        return EmbeddedPrompts(tensors, self.count)


@torch.no_grad()
def embed_prompts(
    pipeline: Any, family: Family, prompts: Sequence[str], call: Mapping[str, Any], device: str
) -> EmbeddedPrompts:
    """Embed prompts with the arguments that the pipeline's call would hand to ``encode_prompt``.

    Both take some arguments of the same name (``max_sequence_length``, ``clip_skip``, ``negative_prompt`` ...): these
    have the value of the call, or the call's default, which may differ from that of ``encode_prompt``.

    Args:
        pipeline: A diffusers pipeline with its text encoders on ``device``.
        family: Its family.
        prompts: B texts.
        call: Arguments of the pipeline's call.
        device: Device of the text encoders.
    """
    takes = inspect.signature(pipeline.encode_prompt).parameters
    given = _defaults(pipeline) | spread_negative(call, len(prompts))
    shared = {name: given[name] for name in takes if name in given and name not in family.embeds}
    shared |= {"prompt": list(prompts), "device": torch.device(device)}
    if "do_classifier_free_guidance" in takes:
        shared["do_classifier_free_guidance"] = given["guidance_scale"] > 1
    found = dict(zip(family.embeds, pipeline.encode_prompt(**shared), strict=False))
    if family.negative_apart and given.get("negative_prompt") is not None and given["true_cfg_scale"] > 1:
        negative = {name: given[f"negative_{name}"] for name in takes if f"negative_{name}" in given}
        negative = {name: value for name, value in negative.items() if name not in family.embeds}
        results = pipeline.encode_prompt(**shared | negative)
        found |= {f"negative_{name}": tensor for name, tensor in zip(family.embeds, results, strict=False) if name}
    found.pop("", None)
    return EmbeddedPrompts(found, len(prompts))


def without_texts(pipeline: Any, call: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call that gets embeddings: the texts are null, and so is a default negative prompt."""
    texts = {name for name in _defaults(pipeline) if name.startswith(("prompt", "negative_prompt"))}
    texts = {name for name in texts if "embeds" not in name and "mask" not in name}
    return {**call, **dict.fromkeys(sorted(texts))}


def spread_negative(call: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Repeat a negative prompt for each of the prompts: some pipelines would embed it once, for a batch of one."""
    negative = {name: [text] * count for name, text in call.items() if _is_negative(name) and isinstance(text, str)}
    return {**call, **negative}


def _is_negative(name: str) -> bool:
    return name.startswith("negative_prompt") and "embeds" not in name and "mask" not in name


def _defaults(pipeline: Any) -> dict[str, Any]:
    taken = inspect.signature(type(pipeline).__call__).parameters
    return {name: one.default for name, one in taken.items() if one.default is not one.empty}
