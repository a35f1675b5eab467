"""Encoding of images and texts; texts have only as many tokens as the batch needs."""

import logging
from typing import Any

import torch.nn.functional as F
from open_clip.model import CLIP
from open_clip.transformer import VisionTransformer
from torch import Tensor

from cultureclip.errors import ConfigurationError
from cultureclip.models.text_tower import embed_text, pool_positions

logger = logging.getLogger(__name__)


def crop_tokens(model: Any, tokens: Tensor) -> Tensor:
    """Cut tokens [N, L] after the batch's last pooled position if this is exact, else leave them whole."""
    positions = pool_positions(model, tokens)
    return tokens if positions is None else tokens[:, : int(positions.max()) + 1]


def encode_text(model: Any, tokens: Tensor) -> Tensor:
    """Return L2-normalised :func:`embed_text`."""
    return F.normalize(embed_text(model, tokens), dim=-1)


def embed_image(model: Any, pixels: Tensor) -> Tensor:
    """Return image embeddings [N, D] of normalised pixels [N, 3, H, W], at their own length, fp32."""
    vectors: Tensor = model.encode_image(pixels)
    return vectors.float()


def pools_plainly(visual: VisionTransformer) -> bool:
    """Tell whether an image tower pools at its class token or over its patches, not by attention."""
    return visual.attn_pool is None and visual.pool_type in ("tok", "avg")


def finish_image(model: CLIP, x: Tensor) -> Tensor:
    """Return image embeddings [N, D] from the last block's output [N, P, W]: pooling, final norm, projection.

    The tower is one that :func:`pools_plainly`.
    """
    visual = model.visual
    states = x if visual.final_ln_after_pool else visual.ln_post(x)
    pooled: Tensor = states[:, 0] if visual.pool_type == "tok" else states[:, 1:].mean(dim=1)
    if visual.final_ln_after_pool:
        pooled = visual.ln_post(pooled)
    return (pooled if visual.proj is None else pooled @ visual.proj).float()


def encode_image(model: Any, pixels: Tensor) -> Tensor:
    """Return L2-normalised image embeddings [N, D] of normalised pixels [N, 3, H, W], fp32 from before the norm on."""
    return F.normalize(embed_image(model, pixels), dim=-1)


def tokenize(model: Any, tokenizer: Any, texts: list[str], long_texts: str) -> tuple[Tensor, int]:
    """Return the tokens of many texts at the context length that the model was trained at.

    Warns of texts with characters that the tokenizer does not know: to the model they are all the same.

    Args:
        model: The open_clip model; a borrowed text tower may have room for more than that.
        tokenizer: Tokenizer of the model.
        texts: Any number, at least one.
        long_texts: ``error`` or ``truncate``.

    Returns:
        int64 [N, context_length], and how many texts were cut.

    Raises:
        ConfigurationError: if a text is longer than the context and ``long_texts`` is ``error``.
    """
    if unknown := _with_unknown_characters(tokenizer, texts):
        cause = "have characters that the model's tokenizer does not know and cannot tell apart"
        logger.warning("%d of %d texts %s; the first: %r", len(unknown), len(texts), cause, unknown[0])
    room = int(model.context_length)
    context = min(room, getattr(tokenizer, "context_length", None) or room)
    tokens, roomy = (tokenizer(texts, context_length=length) for length in (context, 2 * context))
    padding = tokenizer([""], context_length=2 * context).mode().values
    # with more room a text that was cut has more to say; wherever a tokenizer pads, and with an end token or without
    cut = ((roomy != padding).sum(1) > (tokens != padding).sum(1)).nonzero().flatten().tolist()
    if cut and long_texts == "error":
        raise ConfigurationError(
            f"text {texts[cut[0]]!r} and {len(cut) - 1} more",
            f"longer than the model's context of {context} tokens",
            "Shorten the captions, or set long_caption: truncate",
        )
    return tokens, len(cut)


def _with_unknown_characters(tokenizer: Any, texts: list[str]) -> list[str]:
    """List the texts that a Hugging Face tokenizer writes with its unknown token; open_clip's own knows every byte."""
    inner = getattr(tokenizer, "tokenizer", None)
    unknown = getattr(inner, "unk_token_id", None)
    if inner is None or unknown is None:
        return []
    written = inner(texts, add_special_tokens=False).input_ids
    return [text for text, tokens in zip(texts, written, strict=True) if unknown in tokens]
