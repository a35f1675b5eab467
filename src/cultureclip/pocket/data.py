"""Data that each pocket model is allowed to see, in one place.

| pictures                        | generator, autoencoder | judge            | base CLIP                    |
|---------------------------------|------------------------|------------------|------------------------------|
| culture-bound, OpenMoji         | with name and features | with name        | with the category's name only |
| culture-bound, Twemoji          | never                  | never            | never                        |
| general, both styles            | OpenMoji (pixels only) | with name        | with name                    |
| held-out tenth, variants (kin)  | never                  | never            | never                        |
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pandas as pd
import torch

from cultureclip.pictures.emoji import STYLES, Emoji, list_emoji, split_emoji
from cultureclip.pocket.encoder import Example
from cultureclip.pocket.pictures import render_all
from cultureclip.pocket.texts import corpus, describe_category, describe_concept, describe_emoji, describe_features

SHARES = {"base_clip": (1, 2), "judge": (1, 4)}
"""How often a general and a culture-bound thing count when examples are drawn: a batch must hold many flags for their
looks to be told apart."""


@dataclass(frozen=True)
class Pool:
    """Training pictures and texts of the pocket models.

    Attributes:
        concepts: Atlas rows that have a drawing, as dicts.
        culture: Their OpenMoji drawings, uint8 [C, 3, S, S], in the same order.
        emoji: The general emoji that may be seen.
        general: Their drawings in both styles, uint8 [2 G, 3, S, S]: first all of one style, then the other.
    """

    concepts: list[dict[str, Any]]
    culture: torch.Tensor
    emoji: list[Emoji]
    general: torch.Tensor

    @property
    def pictures(self) -> torch.Tensor:
        """All pictures: culture-bound first."""
        return torch.cat([self.culture, self.general])


def culture_char(reference_image: str) -> str:
    """Return the emoji that a concept's ``reference_image`` (``emoji:<char>``) names."""
    return reference_image.removeprefix("emoji:")


def load_pool(concepts: pd.DataFrame, size: int) -> Pool:
    """Render everything that pocket models may see.

    Args:
        concepts: Table of concepts with an emoji drawing each.
        size: Edge in pixels.
    """
    rows: list[dict[str, Any]] = concepts.sort_values("concept_id").to_dict("records")  # type: ignore[assignment]
    chars = [culture_char(row["reference_image"]) for row in rows]
    roles = split_emoji(list_emoji(), set(chars))
    held_out = {e.name for e in list_emoji() if roles[e.char] == "held_out"}
    emoji = [  # an alias may be the name of another emoji: "umbrella" for the one with rain drops
        replace(e, aliases=tuple(a for a in e.aliases if a not in held_out))
        for e in list_emoji()
        if roles[e.char] == "general"
    ]
    general = [render_all([e.char for e in emoji], style, size) for style in STYLES]
    return Pool(rows, render_all(chars, "openmoji", size), emoji, torch.cat(general))


def clip_examples(pool: Pool, model: str) -> list[Example]:
    """Return examples of ``base_clip`` or ``judge`` as the table above says; indices are into ``pool.pictures``.

    A general thing has one drawing per style. A culture-bound one has only its OpenMoji drawing, seen twice.
    """
    general_share, culture_share = SHARES[model]
    first, second = len(pool.concepts), len(pool.concepts) + len(pool.emoji)
    examples = [
        Example((first + i, second + i), e.char, e.char, partial(describe_emoji, e)) for i, e in enumerate(pool.emoji)
    ] * general_share
    for i, concept in enumerate(pool.concepts):
        thing = concept["concept_id"]
        if model == "judge":
            writers: list[Callable[..., str]] = [describe_concept] * 3 + [describe_features]
            shown = [Example((i,), thing, thing, partial(write, concept)) for write in writers]
        else:
            shown = [Example((i,), thing, concept["category"], partial(describe_category, concept))]
        examples += shown * (culture_share // len(shown))
    return examples


def sentences(pool: Pool, seed: int) -> list[str]:
    """Return texts for the text towers' teacher: names, contexts, descriptions; no held-out emoji's name."""
    rng = random.Random(seed)
    lines = corpus(pool.concepts, pool.emoji, seed, rounds=12)
    rng.shuffle(lines)
    return list(dict.fromkeys(lines))
