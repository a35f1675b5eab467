"""General pairs that hold the tuned model near its base on what is not culture.

Distillation of Hinton et al. 2015 (arXiv 1503.02531), from the model before the change: Li and Hoiem 2016 (1606.09282).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from cultureclip.clip.batches import decode, normalise
from cultureclip.clip.contracts import GeneralPairs
from cultureclip.clip.towers import encode_image, encode_text, tokenize
from cultureclip.errors import TrainingError
from cultureclip.models.encoder import ImageTextEncoder

_CHUNK = 256


@dataclass(frozen=True)
class Replay:
    """P general pairs, decoded and tokenised once, with what the base makes of them.

    Attributes:
        pixels: uint8 [P, 3, H, W].
        tokens: int64 [P, L].
        images: The base's L2-normalised image embeddings, [P, D].
        texts: The base's L2-normalised text embeddings, [P, D].
    """

    pixels: Tensor
    tokens: Tensor
    images: Tensor
    texts: Tensor


@torch.no_grad()
def prepare_replay(general: GeneralPairs, encoder: ImageTextEncoder, long_caption: str) -> Replay:
    """Decode and tokenise general pairs, each once, and embed them with the base.

    Args:
        general: The pairs.
        encoder: The base, or a model that an untrained adapter sits on.
        long_caption: What to do with a text longer than the context: ``error`` or ``truncate``.

    Raises:
        TrainingError: there are no pairs, or a picture cannot be read.
    """
    wanted = sorted(general.texts)
    pixels, unreadable = decode(general.pictures, wanted, encoder)
    if unreadable or not wanted:
        raise TrainingError(
            "general pairs",
            f"{len(unreadable)} of {len(wanted)} pictures cannot be read {unreadable[:3]}",
            "Mend or remove them, or set train.replay.batch to 0",
        )
    tokens, _ = tokenize(encoder.model, encoder.tokenizer, [general.texts[i] for i in wanted], long_caption)
    encoder.model.eval()
    chunks = [
        (
            encode_image(encoder.model, normalise(p.float() / 255, encoder)),
            encode_text(encoder.model, t.to(encoder.device)),
        )
        for p, t in zip(pixels.split(_CHUNK), tokens.split(_CHUNK), strict=True)
    ]
    images, texts = (torch.cat(part) for part in zip(*chunks, strict=True))
    return Replay(pixels, tokens, images, texts)
