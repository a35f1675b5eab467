"""CROPE: does the picture show the concept, or the look-alike whose definition it comes with?

Rows whose answer is "no" hold two concepts: the main picture's own and the definition's. The main picture and every
picture of the definition is one two-way question; each time the concept of the picture is right.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cultureclip.benchmarks.items import Question, QuestionSet, Unposed, item_key, part_of

NAME = "crope"
TEMPLATE = "There is {concept} in the image."


@dataclass(frozen=True)
class ConceptPictures:
    """One side of a CROPE row: a concept and its pictures' keys."""

    concept_id: str
    name: str
    images: tuple[str, ...]


def ask_crope(rows: Sequence[tuple[ConceptPictures, ConceptPictures]]) -> QuestionSet:
    """One two-way question for every picture of every row.

    Args:
        rows: (concept of the main picture, concept of the definition).
    """
    questions, unposed = [], []
    for row in rows:
        for own, other in (row, row[::-1]):
            if own.name == other.name:
                unposed.append(Unposed(own.name, "both concepts have the same name"))
                continue
            options = tuple(TEMPLATE.format(concept=name) for name in (own.name, other.name))
            questions += [
                Question(
                    item_key("accuracy", NAME, own.concept_id, other.concept_id, image),
                    image,
                    options,
                    own.concept_id,
                    part_of(own.concept_id),
                )
                for image in own.images
            ]
    return QuestionSet(tuple(questions), tuple(unposed))
