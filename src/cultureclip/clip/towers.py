"""Encoding of images and texts, the latter over no more tokens than the batch needs."""

from typing import Any

import torch
import torch.nn.functional as F
from open_clip.model import CLIP
from open_clip.transformer import text_global_pool
from torch import Tensor

from cultureclip.errors import ConfigurationError

_POOLS_ANYWHERE = ("argmax", "eos")


def pool_positions(model: Any, tokens: Tensor) -> Tensor | None:
    """Where each text [N, L] is pooled, int64 [N]; None unless later tokens cannot matter.

    They cannot when attention is causal and the pooled token is found by its id (the end token).
    """
    if not isinstance(model, CLIP) or model.attn_mask is None or model.text_pool_type not in _POOLS_ANYWHERE:
        return None
    if model.text_pool_type == "argmax":
        return tokens.argmax(-1)
    return (tokens == model.text_eos_id).int().argmax(-1)


def crop_tokens(model: Any, tokens: Tensor) -> Tensor:
    """Cut tokens [N, L] after the batch's last pooled position where that is exact, else leave them whole."""
    positions = pool_positions(model, tokens)
    return tokens if positions is None else tokens[:, : int(positions.max()) + 1]


def embed_text(model: Any, tokens: Tensor) -> Tensor:
    """Text embeddings [N, D] of tokens [N, L] as :func:`crop_tokens` gives them, at their own length, fp32.

    ``open_clip``'s own ``CLIP.encode_text`` insists on the full context length; this is the same computation with
    position table and mask cut to L.
    """
    if not isinstance(model, CLIP):
        return model.encode_text(tokens).float()
    length = tokens.shape[1]
    x = model.token_embedding(tokens) + model.positional_embedding[:length]
    mask = None if model.attn_mask is None else model.attn_mask[:length, :length]
    x = model.ln_final(model.transformer(x, attn_mask=mask))
    x = text_global_pool(x, tokens, model.text_pool_type, eos_token_id=model.text_eos_id)
    if isinstance(model.text_projection, torch.nn.Linear):
        x = model.text_projection(x)
    elif model.text_projection is not None:
        x = x @ model.text_projection
    return x.float()


def encode_text(model: Any, tokens: Tensor) -> Tensor:
    """L2-normalised :func:`embed_text`."""
    return F.normalize(embed_text(model, tokens), dim=-1)


def embed_image(model: Any, pixels: Tensor) -> Tensor:
    """Image embeddings [N, D] of normalised pixels [N, 3, H, W], at their own length, fp32."""
    return model.encode_image(pixels).float()


def encode_image(model: Any, pixels: Tensor) -> Tensor:
    """L2-normalised image embeddings [N, D] of normalised pixels [N, 3, H, W], fp32 from before the norm on."""
    return F.normalize(embed_image(model, pixels), dim=-1)


def tokenize(model: Any, tokenizer: Any, texts: list[str], long_texts: str) -> tuple[Tensor, int]:
    """Tokens of many texts at the model's context length.

    Args:
        model: The open_clip model.
        tokenizer: Its tokenizer.
        texts: Any number, at least one.
        long_texts: ``error`` or ``truncate``.

    Returns:
        int64 [N, context_length], and how many texts were cut.

    Raises:
        ConfigurationError: a text is longer than the context and ``long_texts`` is ``error``.
    """
    context = int(model.context_length)
    tokens = tokenizer(texts, context_length=context)
    # one more slot shows which texts the context is too short for: their end token moves into it
    roomy = tokenizer(texts, context_length=context + 1)
    positions = pool_positions(model, roomy)
    cut = [] if positions is None else (positions == context).nonzero().flatten().tolist()
    if cut and long_texts == "error":
        raise ConfigurationError(
            f"text {texts[cut[0]]!r} and {len(cut) - 1} more",
            f"longer than the model's context of {context} tokens",
            "Shorten the captions, or set long_caption: truncate",
        )
    return tokens, len(cut)
