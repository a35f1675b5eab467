"""CROPE (Nikandrou et al., 2024, arXiv 2410.15453): is it the concept, or the look-alike that is defined beside it?

Rows whose answer is "no" hold two concepts: the main picture's own and the definition's. The main picture and every
picture of the definition is one two-way question; each time the concept of the picture is right.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from cultureclip.benchmarks.protocols.items import METRICS, Question, QuestionSet, Unposed, Variant, item_key

NAME = "crope"
TEMPLATE = "There is {concept} in the image."
BOTH_RIGHT = "the picture shows both concepts"


@dataclass(frozen=True)
class ConceptPictures:
    """One side of a CROPE row: a concept, its pictures' keys, and its region, category and part where known.

    ``cluster`` is what its questions are resampled by; empty where that is the concept.
    """

    concept_id: str
    name: str
    images: tuple[str, ...]
    culture: str = ""
    category: str = ""
    part: str = "test"
    cluster: str = ""


def ask_crope(
    rows: Sequence[tuple[ConceptPictures, ConceptPictures]], variant: Variant = "as_published"
) -> QuestionSet:
    """One two-way question for every picture of every row.

    With two options nothing is drawn, so the variants differ in ties alone. As published, the options of a row are
    shuffled once for all its questions.

    Args:
        rows: (concept of the main picture, concept of the definition). A side without pictures is asked nothing, for
            its pictures are the items: whoever has lost them has listed them.
        variant: What a tie earns.
    """
    asked: dict[str, Question] = {}
    unposed = []
    for row in rows:
        order = item_key("order", NAME, *(side.concept_id for side in row)) if variant == "as_published" else ""
        for own, other in (row, row[::-1]):
            reason = _reason(own, other)
            if reason:
                unposed.append(Unposed(own.name, reason))
                continue
            options = tuple(TEMPLATE.format(concept=name) for name in (own.name, other.name))
            for image in own.images:
                item_id = item_key(METRICS[variant], NAME, own.concept_id, other.concept_id, image)
                if item_id in asked:
                    unposed.append(Unposed(own.name, "the same picture and concepts were asked about before"))
                    continue
                asked[item_id] = Question(
                    item_id=item_id,
                    image=image,
                    options=options,
                    cluster=own.cluster or own.concept_id,
                    part=own.part,
                    culture=own.culture,
                    category=own.category,
                    shuffled_by=order,
                    concept=own.concept_id,
                )
    return QuestionSet(tuple(asked.values()), tuple(unposed))


def part_doubtful(
    rows: Sequence[tuple[ConceptPictures, ConceptPictures]], right: Mapping[str, Collection[str]]
) -> tuple[list[tuple[ConceptPictures, ConceptPictures]], list[Unposed]]:
    """Part the pictures that show both concepts of a row from the others: of two options both would be right.

    Args:
        rows: (concept of the main picture, concept of the definition).
        right: Picture -> names of all concepts that any row says it shows.

    Returns:
        The rows without these pictures, and one left-out item for each of them.
    """
    asked, doubtful = [], []
    for row in rows:
        if row[0].name == row[1].name:  # which is a reason of its own
            asked.append(row)
            continue
        clear = [
            tuple(image for image in own.images if other.name not in right[image]) for own, other in (row, row[::-1])
        ]
        asked.append((replace(row[0], images=clear[0]), replace(row[1], images=clear[1])))
        for side, left in zip(row, clear, strict=True):
            doubtful += [Unposed(f"{row[0].name} or {row[1].name}", BOTH_RIGHT)] * (len(side.images) - len(left))
    return asked, doubtful


def _reason(own: ConceptPictures, other: ConceptPictures) -> str:
    """Why nothing can be asked; empty where something can."""
    if not own.name or not other.name:
        return "a concept has no name"
    return "both concepts have the same name" if own.name == other.name else ""
