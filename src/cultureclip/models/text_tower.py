"""open_clip's text tower, run only on as many tokens as a batch needs."""

from typing import Any

import torch
from open_clip.model import CLIP
from open_clip.transformer import text_global_pool
from torch import Tensor

_POOLS_ANYWHERE = ("argmax", "eos")


def pool_positions(model: Any, tokens: Tensor) -> Tensor | None:
    """Return the pooled position of each text [N, L], int64 [N]; None unless later tokens cannot matter.

    Later tokens cannot matter if attention is causal and the pooled token is found by its id (the end token).
    """
    if not isinstance(model, CLIP) or model.attn_mask is None or model.text_pool_type not in _POOLS_ANYWHERE:
        return None
    if model.text_pool_type == "argmax":
        return tokens.argmax(-1)
    is_end: Tensor = tokens == model.text_eos_id
    return is_end.int().argmax(-1)


def embed_text(model: Any, tokens: Tensor) -> Tensor:
    """Return text embeddings [N, D] of tokens [N, L], L up to the context length, at their own length, fp32.

    ``open_clip``'s own ``CLIP.encode_text`` insists on the full context length; this is the same computation with
    position table and mask cut to L.
    """
    if not isinstance(model, CLIP):
        vectors: Tensor = model.encode_text(tokens)
        return vectors.float()
    length = tokens.shape[1]
    x = model.token_embedding(tokens) + model.positional_embedding[:length]
    mask = None if model.attn_mask is None else model.attn_mask[:length, :length]
    return finish_text(model, model.transformer(x, attn_mask=mask), tokens)


def finish_text(model: CLIP, x: Tensor, tokens: Tensor) -> Tensor:
    """Return text embeddings [N, D] from the last block's output [N, L, W]: final norm, pooling, projection."""
    return project_text(
        model, text_global_pool(model.ln_final(x), tokens, model.text_pool_type, eos_token_id=model.text_eos_id)
    )


def project_text(model: CLIP, x: Tensor) -> Tensor:
    """Return text embeddings [N, D] from the pooled tokens [N, W] after the final norm."""
    if isinstance(model.text_projection, torch.nn.Linear):
        x = model.text_projection(x)
    elif model.text_projection is not None:
        x = x @ model.text_projection
    return x.float()
