"""Frozen projections with low-rank updates beside them (LoRA, Hu et al. 2021, arXiv 2106.09685).

Each adapted projection gives W x + scale * B A dropout(x), with B = 0 at the start. The update runs beside the frozen
weights instead of being added to them: the backward pass then needs no gradient of the size of W.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cultureclip.clip.settings import LoraSettings

PACKED = ("q", "k", "v")
"""Order in which query, key and value are stacked, in ``nn.MultiheadAttention`` as in timm's ``qkv``."""


class LowRank(nn.Module):
    """x -> scale * B A dropout(x).

    Args:
        inputs: Size of x.
        outputs: Size of the result.
        lora: Rank, scale, dropout.
    """

    def __init__(self, inputs: int, outputs: int, lora: LoraSettings) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.empty(lora.rank, inputs)), nn.Parameter(torch.zeros(outputs, lora.rank))
        self.scale, self.dropout, self.enabled = lora.scale, lora.dropout, True

    def forward(self, x: Tensor) -> Tensor:
        """Return the update for inputs [..., inputs], [..., outputs]."""
        return F.linear(F.linear(F.dropout(x, self.dropout, self.training), self.a) * self.scale, self.b)


class LoraLinear(nn.Module):
    """A frozen linear layer with a low-rank update beside it."""

    def __init__(self, base: nn.Linear, lora: LoraSettings) -> None:
        super().__init__()
        self.base, self.update = base, LowRank(base.in_features, base.out_features, lora)

    @property
    def weight(self) -> Tensor:
        """The frozen weights; open_clip asks an MLP's first layer for their dtype."""
        return self.base.weight

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., in] -> [..., out]."""
        projected: Tensor = self.base(x)
        return projected + self.update(x) if self.update.enabled else projected


class LoraPackedLinear(nn.Module):
    """A frozen linear layer that gives query, key and value together, with low-rank updates beside some of them.

    Args:
        base: The layer to replace, [3 * out, in]; kept, not copied.
        lora: Rank, scale, dropout.
        targets: Which of q, k and v get an update.
    """

    def __init__(self, base: nn.Linear, lora: LoraSettings, targets: Sequence[str]) -> None:
        super().__init__()
        self.base, third = base, base.out_features // len(PACKED)
        self.updates = nn.ModuleDict({name: LowRank(base.in_features, third, lora) for name in targets})

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., in] -> [..., 3 * out]."""
        parts = zip(PACKED, self.base(x).chunk(len(PACKED), dim=-1), strict=True)
        return torch.cat([_updated(self, name, x, plain) for name, plain in parts], dim=-1)


class LoraAttention(nn.Module):
    """Self-attention with the frozen weights of an ``nn.MultiheadAttention`` and low-rank updates beside them.

    Computes the same function in training and evaluation; ``nn.MultiheadAttention``'s fused evaluation path, which
    reads the packed weights directly and would miss the updates, is never entered.

    Args:
        base: The module to replace; kept, not copied.
        lora: Rank, scale, dropout.
        targets: Which of q, k, v and the output get an update.
    """

    def __init__(self, base: nn.MultiheadAttention, lora: LoraSettings, targets: Sequence[str]) -> None:
        super().__init__()
        self.base, width = base, base.embed_dim
        self.updates = nn.ModuleDict({name: LowRank(width, width, lora) for name in targets})

    @property
    def num_heads(self) -> int:
        """Number of heads."""
        return int(self.base.num_heads)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, need_weights: bool = False, attn_mask: Tensor | None = None
    ) -> tuple[Tensor, None]:
        """Compute self-attention over [batch, length, width]; key and value must be the query.

        Args:
            query: [batch, length, width].
            key: The query.
            value: The query.
            need_weights: Must be False: the attention weights are never formed.
            attn_mask: Additive, [length, length].
        """
        if key is not query or value is not query or need_weights:
            raise NotImplementedError("LoraAttention is self-attention without returned weights")
        q, k, v = project(self, query, PACKED)
        return output_projection(self, attend(q, k, v, self.num_heads, attn_mask)), None


def unadapted(attention: Any) -> Any:
    """Return the attention below an adapter, or the attention itself."""
    return attention.base if isinstance(attention, LoraAttention) else attention


def project(attention: nn.MultiheadAttention | LoraAttention, x: Tensor, names: Sequence[str]) -> list[Tensor]:
    """Return projections [..., width] of x, with their updates.

    Args:
        attention: Adapted or not, query, key and value of one width.
        x: [..., width].
        names: Neighbours among ``PACKED``, in its order: all of them, ``q``, or ``k`` and ``v``.
    """
    base = unadapted(attention)
    start, width = PACKED.index(names[0]), base.embed_dim
    rows = slice(start * width, (start + len(names)) * width)
    packed = F.linear(x, base.in_proj_weight[rows], None if base.in_proj_bias is None else base.in_proj_bias[rows])
    return [_updated(attention, name, x, part) for name, part in zip(names, packed.split(width, dim=-1), strict=True)]


def output_projection(attention: nn.MultiheadAttention | LoraAttention, mixed: Tensor) -> Tensor:
    """Return an attention's output [..., width] from its mixed values, with its update."""
    base = unadapted(attention)
    return _updated(attention, "out", mixed, base.out_proj(mixed))


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Tensor | None) -> Tensor:
    """Mix values [batch, length, width] by attention; return [batch, queries, width].

    bf16 on a CPU is computed in fp32: torch's fused backward pass takes eight times as long there in bf16.

    Args:
        q: [batch, queries, width].
        k: [batch, length, width].
        v: [batch, length, width].
        heads: Number of heads.
        mask: Additive, to be broadcast to [batch, heads, queries, length].
    """
    q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (q, k, v))
    slow = q.device.type == "cpu" and q.dtype == torch.bfloat16
    q, k, v = (part.float() if slow else part for part in (q, k, v))
    with torch.autocast(q.device.type, enabled=torch.is_autocast_enabled(q.device.type) and not slow):
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=None if mask is None else mask.to(q.dtype))
    return mixed.transpose(1, 2).flatten(-2)


def _updated(module: nn.Module, name: str, x: Tensor, plain: Tensor) -> Tensor:
    """Return ``plain``, the frozen projection of x, with the module's update of that name if it has one that is on."""
    updates = module.updates if isinstance(module, LoraAttention | LoraPackedLinear) else None
    update = updates[name] if updates is not None and name in updates else None
    return plain + update(x) if isinstance(update, LowRank) and update.enabled else plain
