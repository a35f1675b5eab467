"""Attention of many rows to tokens that all of them share, which are kept once and not copied for each row.

A copy for each row is what a batch of short questions after the same long examples would spend most of its time on: the
keys and values of 250 tokens are written and read again for every row and layer. The attention is the same up to the
order of sums (Juravsky et al. 2024, arXiv 2402.05099).
"""

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "shared_prefix"
_FAMILIES = frozenset({"llama", "qwen2", "qwen3"})
"""Model types whose layers all see all tokens, and hand what is not theirs on to their attention."""
MOST_WEIGHTS = 1 << 25
"""Attention weights that are in memory at a time."""


def can_share(model: Any) -> bool:
    """Tell whether a model can read shared tokens without a copy; on a GPU the library's own kernels are faster."""
    config = model.config.get_text_config()
    kinds = getattr(config, "layer_types", None) or ()
    return (
        config.model_type in _FAMILIES
        and all(kind == "full_attention" for kind in kinds)
        and model.device.type == "cpu"
        and not hasattr(model, "hf_device_map")
    )


def let_share(model: Any) -> None:
    """Make a model's attention look at the ``prefix`` of its call: the cache of tokens before those of every row."""
    AttentionInterface.register(NAME, _attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)


def _attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    prefix: Any = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attend as ``transformers`` calls it.

    Args:
        module: The attention layer.
        query: [B, H, S, D].
        key: Of the rows' own tokens, [B, K, L, D].
        value: [B, K, L, D].
        attention_mask: Which own tokens each query sees, bool [B, 1, S, L]; None: causal.
        scaling: Factor on the products of queries and keys.
        prefix: Cache of the shared tokens, of one row; None: there are none.
        options: Of attention without a prefix.

    Returns:
        [B, S, H, D], and no weights.
    """
    if prefix is None:
        plain: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **options
        )
        return plain
    shared = prefix.layers[module.layer_idx]
    rows, heads, count, size = query.shape
    seen = _mask(attention_mask, query, key)
    step = max(1, MOST_WEIGHTS // (rows * heads * (shared.keys.shape[2] + key.shape[2])))
    scaled = query * (size**-0.5 if scaling is None else scaling)
    parts = [
        _mix(scaled[:, :, cut], key, value, seen[:, :, cut], shared.keys[0], shared.values[0])
        for cut in (slice(start, start + step) for start in range(0, count, step))
    ]
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous(), None


def _mask(mask: Tensor | None, query: Tensor, key: Tensor) -> Tensor:
    if mask is not None:
        return mask
    count, length = query.shape[2], key.shape[2]
    causal = torch.ones(count, length, dtype=torch.bool, device=query.device).tril(length - count)
    return causal.expand(len(query), 1, count, length)


def _mix(query: Tensor, key: Tensor, value: Tensor, seen: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Mix own values [B, K, L, D] and shared ones [K, P, D]; return [B, H, S, D]. Heads of one key lie together."""
    rows, heads, count, size = query.shape
    groups, length = len(keys), keys.shape[1]
    grouped = query.reshape(rows, groups, -1, size)  # [B, K, H / K * S, D]
    together = grouped.transpose(0, 1).reshape(groups, -1, size)  # [K, B * H / K * S, D]
    to_shared = (together @ keys.mT).view(groups, rows, -1, length).transpose(0, 1)
    to_own = (grouped @ key.mT).masked_fill(~seen.repeat(1, 1, heads // groups, 1), float("-inf"))
    weights = torch.cat([to_shared, to_own], dim=-1).softmax(-1, dtype=torch.float32).to(query.dtype)
    of_shared, of_own = weights.split([length, key.shape[2]], dim=-1)
    mixed = (of_shared.transpose(0, 1).reshape(groups, -1, length) @ values).view(groups, rows, -1, size)
    result: Tensor = (mixed.transpose(0, 1) + of_own @ value).reshape(rows, heads, count, size)
    return result
