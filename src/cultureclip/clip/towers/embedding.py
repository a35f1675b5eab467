"""Embeddings of images and texts from towers that run only on what the pooled token depends on.

Texts lie one after another without padding, each up to its end token: under causal attention nothing later matters.
Exact up to the order of sums, and the faster way in training. Towers of other kinds (timm's, Hugging Face's, those with
attention pooling or custom blocks) run whole. An image tower that averages its patches does, too.
"""

from collections.abc import Iterable
from typing import Any

import torch
from open_clip.model import CLIP
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from cultureclip.clip.data.towers import embed_image
from cultureclip.clip.towers.blocks import is_known, run_pooled
from cultureclip.clip.towers.sequences import Sequences
from cultureclip.models.text_tower import embed_text, pool_positions, project_text

_FIXED_POSITIONS = {"first": 0, "last": -1}


def pools_one_image_token(visual: Any) -> bool:
    """Tell whether an image tower's embedding comes from its class token, through blocks that are known."""
    return (
        isinstance(visual, VisionTransformer)
        and visual.attn_pool is None
        and visual.pool_type == "tok"
        and not visual.output_tokens
        and is_known(visual.transformer)
    )


def embed_image_pooled(model: Any, pixels: Tensor) -> Tensor:
    """Return image embeddings [N, D] of normalised pixels [N, 3, H, W], at their own length, fp32."""
    visual = model.visual
    if not pools_one_image_token(visual):
        return embed_image(model, pixels)
    patches = visual.conv1(pixels).flatten(2).transpose(1, 2)
    start = visual.class_embedding.to(patches.dtype).expand(len(patches), 1, -1)
    x = torch.cat([start, patches], dim=1) + visual.positional_embedding.to(patches.dtype)
    x = visual.ln_pre(visual.patch_dropout(x))
    return finish_image_pooled(visual, visual.transformer.resblocks, x)


def finish_image_pooled(visual: VisionTransformer, blocks: Iterable[nn.Module], x: Tensor) -> Tensor:
    """Return image embeddings [N, D] from the input [N, P, W] of the tower's last blocks."""
    sequences = Sequences.equally_long(x, 0)
    pooled = visual.ln_post(run_pooled(visual.transformer, blocks, sequences.gather(x), sequences))
    vectors: Tensor = pooled if visual.proj is None else pooled @ visual.proj
    return vectors.float()


def embed_text_pooled(model: Any, tokens: Tensor) -> Tensor:
    """Return text embeddings [N, D] of tokens [N, L], L up to the context length, at their own length, fp32."""
    if not (isinstance(model, CLIP) and is_known(model.transformer)):
        return embed_text(model, tokens)
    sequences = _text_sequences(model, tokens)
    if sequences is None:
        return embed_text(model, tokens)
    places = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
    ids, places = (sequences.gather(part[..., None]).squeeze(1) for part in (tokens, places))
    x = model.token_embedding(ids) + model.positional_embedding[places]
    return _finish_rows(model, model.transformer.resblocks, x, sequences)


def finish_text_pooled(model: CLIP, blocks: Iterable[nn.Module], x: Tensor, tokens: Tensor) -> Tensor | None:
    """Return text embeddings [N, D] from the input [N, L, W] of the tower's last blocks; None if it must run whole."""
    sequences = _text_sequences(model, tokens) if is_known(model.transformer) else None
    return None if sequences is None else _finish_rows(model, blocks, sequences.gather(x), sequences)


def _text_sequences(model: CLIP, tokens: Tensor) -> Sequences | None:
    """Return the rows that texts' embeddings depend on; None if they are not pooled at one token."""
    length = tokens.shape[1]
    mask = None if model.attn_mask is None else model.attn_mask[:length, :length]
    ends = pool_positions(model, tokens)
    if ends is not None and mask is not None:
        return Sequences.up_to(ends, length, mask)
    if model.text_pool_type not in _FIXED_POSITIONS:
        return None
    position = _FIXED_POSITIONS[model.text_pool_type] % length
    return Sequences.equally_long(tokens[..., None], position, mask)


def _finish_rows(model: CLIP, blocks: Iterable[nn.Module], x: Tensor, sequences: Sequences) -> Tensor:
    return project_text(model, model.ln_final(run_pooled(model.transformer, blocks, x, sequences)))
