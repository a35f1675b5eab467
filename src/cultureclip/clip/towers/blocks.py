"""open_clip's transformer blocks on rows of tokens: all of them, or in the last block only what is pooled.

An embedding is taken from one token. In the last block nothing reads the other tokens' outputs, so query, output
projection and MLP are computed for the pooled token alone; keys and values are still everyone's. The result is the
block's own, up to the order of sums.
"""

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from open_clip.transformer import QuickGELU, ResidualAttentionBlock, Transformer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cultureclip.clip.lora.low_rank import PACKED, attend, output_projection, project, unadapted
from cultureclip.clip.towers.sequences import Sequences

_STEEPNESS = 1.702


def is_known(transformer: Any) -> bool:
    """Tell whether a tower's blocks are open_clip's plain ones."""
    return (
        isinstance(transformer, Transformer)
        and transformer.batch_first
        and all(_is_plain(block) for block in transformer.resblocks)
    )


def _is_plain(block: nn.Module) -> bool:
    if type(block) is not ResidualAttentionBlock or hasattr(block, "ln_1_kv"):
        return False
    attention = unadapted(block.attn)
    return type(attention) is nn.MultiheadAttention and attention.in_proj_weight is not None


def run_pooled(transformer: Transformer, blocks: Iterable[nn.Module], x: Tensor, sequences: Sequences) -> Tensor:
    """Return the pooled tokens [N, W] after the last blocks of a transformer.

    Args:
        transformer: A tower's, one that :func:`is_known`.
        blocks: The blocks to run, up to the transformer's last.
        x: Rows of tokens [T, W].
        sequences: Where the rows belong.
    """
    *first, last = blocks
    for block in first:
        x = _run(transformer, _run_block, block, x, sequences)
    return _run(transformer, _run_last_block, last, x, sequences)


def _run(transformer: Transformer, function: Any, block: nn.Module, x: Tensor, sequences: Sequences) -> Tensor:
    again = transformer.grad_checkpointing and torch.is_grad_enabled()
    result: Tensor = (
        checkpoint(function, block, x, sequences, use_reentrant=False) if again else function(block, x, sequences)
    )
    return result


def _run_block(block: Any, x: Tensor, sequences: Sequences) -> Tensor:
    """Map rows [T, W] -> [T, W]."""
    q, k, v = (sequences.pad(part) for part in project(block.attn, block.ln_1(x), PACKED))
    mixed = sequences.gather(attend(q, k, v, block.attn.num_heads, sequences.mask))
    return _finish(block, x, mixed)


def _run_last_block(block: Any, x: Tensor, sequences: Sequences) -> Tensor:
    """Map rows [T, W] -> the pooled ones [N, W]."""
    normed = block.ln_1(x)
    (q,) = project(block.attn, normed.index_select(0, sequences.pooled), ("q",))
    k, v = (sequences.pad(part) for part in project(block.attn, normed, ("k", "v")))
    mixed = attend(q[:, None], k, v, block.attn.num_heads, sequences.pooled_mask())
    return _finish(block, x.index_select(0, sequences.pooled), mixed.squeeze(1))


def _finish(block: Any, x: Tensor, mixed: Tensor) -> Tensor:
    """Return a block's output from its input and what its attention mixed, both [rows, W]."""
    x = x + block.ls_1(output_projection(block.attn, mixed))
    hidden = block.ln_2(x)
    quick = type(block.mlp.gelu) is QuickGELU
    update: Tensor = block.mlp.c_proj(quick_gelu(block.mlp.c_fc(hidden))) if quick else block.mlp(hidden)
    result: Tensor = x + block.ls_2(update)
    return result


class _QuickGelu(torch.autograd.Function):
    """x sigmoid(1.702 x) = silu(1.702 x) / 1.702, whose gradient is silu's at 1.702 x: one pass, one kept tensor."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        steep = x * _STEEPNESS
        ctx.save_for_backward(steep)
        return F.silu(steep).mul_(1 / _STEEPNESS)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (steep,) = ctx.saved_tensors
        before: Tensor = torch.ops.aten.silu_backward(gradient, steep)
        return before


def quick_gelu(x: Tensor) -> Tensor:
    """Return open_clip's QuickGELU of x with half its memory traffic."""
    y: Tensor = _QuickGelu.apply(x)
    return y
