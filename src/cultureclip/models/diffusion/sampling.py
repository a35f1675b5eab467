"""Draw tokens from a language model's logits, and compare token sequences."""

from typing import Any

import torch

from cultureclip.errors import ConfigurationError

NUCLEUS_LIMIT = 256
"""Most tokens that nucleus sampling sorts: a full sort of the vocabulary per step costs more than the model."""


def common_prefix(token_ids: list[list[int]]) -> int:
    """Return how many first tokens all sequences share, leaving each at least one of its own."""
    low, high = min(token_ids), max(token_ids)
    limit = min(map(len, token_ids)) - 1
    return next((i for i in range(limit) if low[i] != high[i]), limit)


def single_token(tokenizer: Any, option: str) -> int:
    """Return the token of an answer that is one token of the vocabulary.

    Raises:
        ConfigurationError: if it is not.
    """
    token_ids = tokenizer(option, add_special_tokens=False)["input_ids"]
    if len(token_ids) != 1:
        raise ConfigurationError(
            repr(option), "this answer is not one token of the model", "Use answers such as A and B"
        )
    return int(token_ids[0])


def draw(logits: torch.Tensor, generators: list[torch.Generator], temperature: float, top_p: float) -> torch.Tensor:
    """Draw one token per row, int64 [B]: nucleus sampling, the cumulative distribution inverted at the row's number."""
    if temperature == 0:
        return logits.argmax(dim=1)
    values, tokens = torch.softmax(logits / temperature, dim=1).topk(min(NUCLEUS_LIMIT, logits.shape[1]), dim=1)
    cumulative = values.cumsum(1)
    inside = (cumulative - values) < top_p  # the token that crosses the threshold belongs to the nucleus
    mass = (values * inside).sum(1, keepdim=True)
    numbers = torch.stack([torch.rand(1, generator=generator) for generator in generators])
    places = (cumulative < numbers * mass).sum(1, keepdim=True)
    return tokens.gather(1, torch.minimum(places, inside.sum(1, keepdim=True) - 1))[:, 0]
