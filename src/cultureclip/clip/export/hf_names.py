"""Names of the same tensors in open_clip's ``CLIP`` and Hugging Face's ``CLIPModel``."""

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from cultureclip.clip.lora.low_rank import PACKED

_TOWERS = {
    "visual.transformer.resblocks": "vision_model.encoder.layers",
    "transformer.resblocks": "text_model.encoder.layers",
}
_LAYERS = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.q": "self_attn.q_proj",
    "attn.k": "self_attn.k_proj",
    "attn.v": "self_attn.v_proj",
    "attn.out": "self_attn.out_proj",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_BLOCK = re.compile(rf"({'|'.join(map(re.escape, _TOWERS))})\.(\d+)\.(.+)")
_PACKED = re.compile(r"attn\.in_proj_(weight|bias)")
_OUTSIDE = {
    "logit_scale": "logit_scale",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
    "visual.proj": "visual_projection.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "text_projection": "text_projection.weight",
}
_TRANSPOSED = ("visual.proj", "text_projection")
"""open_clip multiplies by these from the right."""


def layer_name(site: str) -> str | None:
    """Return ``CLIPModel``'s name of a linear layer or norm in a block, or None if it has none.

    Args:
        site: Name in a :class:`LoraAdapter`: ``transformer.resblocks.0.attn.q`` is
            ``text_model.encoder.layers.0.self_attn.q_proj``.
    """
    match = _BLOCK.fullmatch(site)
    if match is None or match[3] not in _LAYERS:
        return None
    return f"{_TOWERS[match[1]]}.{match[2]}.{_LAYERS[match[3]]}"


def to_clip_model(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict of a ``CLIPModel`` from an open_clip ``CLIP``'s state dict."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        names = _tensor_names(name)
        parts = tensor.chunk(len(names)) if len(names) > 1 else [tensor.T if name in _TRANSPOSED else tensor]
        renamed |= zip(names, parts, strict=True)
    return renamed


def from_clip_model(state: Mapping[str, Tensor], names: Iterable[str]) -> dict[str, Tensor]:
    """Return the reverse of :func:`to_clip_model`.

    Args:
        state: State dict of a ``CLIPModel``.
        names: Names of all tensors of the open_clip model to fill.
    """
    renamed = {}
    for name in names:
        parts = [state[part] for part in _tensor_names(name)]
        renamed[name] = torch.cat(parts) if len(parts) > 1 else (parts[0].T if name in _TRANSPOSED else parts[0])
    return renamed


def _tensor_names(name: str) -> list[str]:
    """Return ``CLIPModel``'s names of an open_clip tensor: one, or three for packed query, key and value."""
    if name in _OUTSIDE:
        return [_OUTSIDE[name]]
    match = _BLOCK.fullmatch(name)
    packed = _PACKED.fullmatch(match[3]) if match else None
    if match and packed:
        prefix = f"{_TOWERS[match[1]]}.{match[2]}.self_attn"
        return [f"{prefix}.{part}_proj.{packed[1]}" for part in PACKED]
    layer, _, kind = name.rpartition(".")
    return [f"{layer_name(layer)}.{kind}"]
