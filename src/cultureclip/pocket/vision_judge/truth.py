"""The truth that pocket's vision-language judge is trained and measured on: three ratings, each with a reason."""

import json
from dataclasses import dataclass
from enum import Enum

from cultureclip.judging.rating import CRITERIA


class Relation(Enum):
    """Relation of the thing that a picture shows to the thing that is asked about."""

    SAME = "this"
    LOOK_ALIKE = "alike"
    OTHER = "other"


class Origin(Enum):
    """Relation of the culture of the thing that is shown to the culture that is asked about."""

    SAME = "same"
    FOREIGN = "foreign"
    NONE = "none"


REASONS = {
    Relation.SAME: "the thing that is named",
    Relation.LOOK_ALIKE: "something that looks like it",
    Relation.OTHER: "something else",
    Origin.SAME: "of this culture",
    Origin.FOREIGN: "of another culture",
    Origin.NONE: "of no culture",
}
CLEAR = "clear"
"""Reason of authenticity for a picture without damage; a damaged one's is the name of the damage."""


@dataclass(frozen=True)
class Truth:
    """What a picture shows against what is asked, and how the picture is damaged.

    Attributes:
        relation: Of the things.
        origin: Of the cultures.
        damage: Name of the damage, or None.
        grade: Grade of the damage; 0 for none.
    """

    relation: Relation
    origin: Origin
    damage: str | None = None
    grade: int = 0

    @property
    def ratings(self) -> tuple[int, int, int]:
        """Authenticity, consistency and cultural fidelity, from 1 to 5.

        Authenticity falls by one with each grade of damage. A picture of the thing that is named is consistent (5) as
        long as its features show: one less from grade 2 on. A look-alike is 2, anything else 1. Fidelity is 5 for the
        thing itself (a badly damaged picture shows less of it), 3 for another thing of the same culture, 2 for a thing
        that belongs to no culture and 1 for a thing of another culture.
        """
        if self.relation is Relation.SAME:
            return 5 - self.grade, min(5, 6 - self.grade), min(5, 7 - self.grade)
        consistency = 2 if self.relation is Relation.LOOK_ALIKE else 1
        return 5 - self.grade, consistency, {Origin.SAME: 3, Origin.NONE: 2, Origin.FOREIGN: 1}[self.origin]

    @property
    def reasons(self) -> tuple[str, str, str]:
        """The reasons, in the order of the ratings."""
        return self.damage or CLEAR, REASONS[self.relation], REASONS[self.origin]


def answer_parts(truth: Truth) -> list[str]:
    """Return the answer in JSON, in the parts that the judge's tokenizer writes as one token each."""
    parts = []
    for name, rating, reason in zip(CRITERIA, truth.ratings, truth.reasons, strict=True):
        parts += [opening(name), str(rating), MIDDLE, reason]
    return [*parts, CLOSING]


def opening(name: str) -> str:
    """Return the JSON text before a rating."""
    return ("{" if name == CRITERIA[0] else '"},') + json.dumps(name) + ':{"rating":'


MIDDLE, CLOSING = ',"reason":"', '"}}'
