"""Questions about pictures with known answers: things, their look-alikes, and the truth of each pair."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from cultureclip.concepts.regions import region_name
from cultureclip.ids import hash_fraction
from cultureclip.pictures.emoji import Emoji
from cultureclip.pocket.vision_judge.damage import GRADES
from cultureclip.pocket.vision_judge.truth import Origin, Relation, Truth

UNSEEN_SHARE = 0.12
"""Share of the concepts that no training shows or asks about: the judge is measured on them."""
LOOK_ALIKES = 8
DAMAGED_SHARE = 0.5


@dataclass(frozen=True)
class Thing:
    """A thing that is shown and asked about.

    Attributes:
        names: Its names, the first one twice as often.
        cultures: Region codes; none for a general thing.
        universal: Kind of thing.
        drawn_like: Things of the same label are drawn alike to the pixel and are never asked of each other's pictures.
        pictures: uint8 [P, 3, H, W].
        unseen: Whether it is kept out of the training.
    """

    names: tuple[str, ...]
    cultures: tuple[str, ...]
    universal: str | None
    drawn_like: str
    pictures: torch.Tensor
    unseen: bool = False


def concept_things(rows: list[dict[str, Any]], pictures: Sequence[torch.Tensor], drawn_like: list[str]) -> list[Thing]:
    """Return the things of the concepts table, each with its pictures [P, 3, H, W]."""
    return [
        Thing(
            (row["name"], row["name"], *row["aliases"]),
            tuple(row["cultures"]),
            row["universal"],
            like,
            shown,
            unseen=hash_fraction(like, "vision-judge-unseen") < UNSEEN_SHARE,
        )
        for row, shown, like in zip(rows, pictures, drawn_like, strict=True)
    ]


def emoji_things(emoji: list[Emoji], pictures: torch.Tensor) -> list[Thing]:
    """Return the general things; pictures [E, P, 3, H, W]."""
    return [
        Thing((e.name, e.name, *e.aliases), (), None, e.char, shown) for e, shown in zip(emoji, pictures, strict=True)
    ]


def word_question(thing: Thing, rng: random.Random) -> str:
    """Return what is asked: mostly the name with its culture, as the prompt of the default run asks."""
    name = rng.choice(thing.names)
    if not thing.cultures:
        return name
    culture = region_name(rng.choice(thing.cultures))
    return rng.choice((f"{name} from {culture}",) * 4 + (f"{name} in {culture}", name))


def name_with_culture(thing: Thing) -> str:
    """Return the question of the default run's prompt: name and first culture."""
    return f"{thing.names[0]} from {region_name(thing.cultures[0])}" if thing.cultures else thing.names[0]


def relate(shown: Thing, asked: Thing, alike: bool) -> Truth:
    """Return the truth about an undamaged picture of ``shown`` when ``asked`` is asked about."""
    if shown is asked:
        return Truth(Relation.SAME, Origin.SAME)
    same_kind = shown.universal is not None and shown.universal == asked.universal
    relation = Relation.LOOK_ALIKE if alike or same_kind else Relation.OTHER
    if set(shown.cultures) & set(asked.cultures):
        return Truth(relation, Origin.SAME)
    return Truth(relation, Origin.FOREIGN if shown.cultures else Origin.NONE)


def find_look_alikes(embeddings: np.ndarray, things: Sequence[Thing], count: int = LOOK_ALIKES) -> list[list[int]]:
    """Return for each thing the nearest things of its own sort (cultural or general) that share no culture with it.

    Args:
        embeddings: L2-normalised picture embeddings [N, D], one a thing.
        things: The things, N.
        count: Look-alikes of each.
    """
    similar = embeddings @ embeddings.T
    found = []
    for i, thing in enumerate(things):
        others = [
            j
            for j in np.argsort(-similar[i], kind="stable")
            if bool(things[j].cultures) == bool(thing.cultures)
            and not set(things[j].cultures) & set(thing.cultures)
            and things[j].drawn_like != thing.drawn_like
            and not set(things[j].names) & set(thing.names)
        ]
        found.append([int(j) for j in others[:count]])
    return found


def draw_damage(names: Sequence[str], rng: random.Random) -> tuple[str | None, int]:
    """Draw a damage and its grade; every second picture has none."""
    if rng.random() >= DAMAGED_SHARE:
        return None, 0
    return rng.choice(names), rng.randint(1, GRADES)


class Questions:
    """Draws pictures of things and questions about each.

    Args:
        things: All things.
        look_alikes: From :func:`find_look_alikes`.
        asked: Places of the things that may be shown and asked about.
    """

    def __init__(self, things: Sequence[Thing], look_alikes: Sequence[Sequence[int]], asked: Sequence[int]) -> None:
        self.things = things
        allowed = set(asked)
        self.cultural = [i for i in asked if things[i].cultures]
        self.general = [i for i in asked if not things[i].cultures]
        self.look_alikes = [[j for j in near if j in allowed] for near in look_alikes]
        self._of_culture: dict[str, list[int]] = {}
        for i in self.cultural:
            for code in things[i].cultures:
                self._of_culture.setdefault(code, []).append(i)

    def draw_shown(self, rng: random.Random) -> int:
        """Draw a thing to show: cultural and general ones in turn."""
        return rng.choice(self.cultural if rng.random() < 0.55 else self.general)

    def draw_asked(self, shown: int, rng: random.Random) -> list[int]:
        """Draw six things to ask about: itself twice, two look-alikes, one of its culture or sort, any one."""
        thing = self.things[shown]
        sort = self.cultural if thing.cultures else self.general
        near = self.look_alikes[shown] or sort
        compatriots = [j for code in thing.cultures for j in self._of_culture[code]] or sort
        anything = self.cultural if rng.random() < 0.6 else self.general
        drawn = [*rng.sample(near, min(2, len(near))), rng.choice(compatriots), rng.choice(anything)]
        label = thing.drawn_like
        others = [j for j in drawn if self.things[j].drawn_like != label]
        while len(others) < 4:
            others += [j for j in [rng.choice(sort)] if self.things[j].drawn_like != label]
        return [shown, shown, *others]

    def truth(self, shown: int, asked: int) -> Truth:
        """Return the truth of a question about an undamaged picture."""
        return relate(self.things[shown], self.things[asked], asked in self.look_alikes[shown])
