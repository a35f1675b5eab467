"""CROPE (Nikandrou et al., 2024, arXiv 2410.15453): is it the concept, or the look-alike that is defined beside it?

Rows whose answer is "no" hold two concepts: the main picture's own and the definition's. The main picture and every
picture of the definition make one two-way question each, and the picture's own concept is right.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from cultureclip.benchmarks.protocols.benchmark import Benchmark, Declaration
from cultureclip.benchmarks.protocols.choice import ChoiceBenchmark, build_choices
from cultureclip.benchmarks.protocols.items import (
    AS_PUBLISHED,
    METRICS,
    Changed,
    Question,
    QuestionSet,
    Unposed,
    Variant,
    ask_both,
    item_key,
    named_concept,
)
from cultureclip.benchmarks.protocols.protocol import Protocol
from cultureclip.benchmarks.protocols.shared_pictures import cluster_by_picture, right_answers
from cultureclip.benchmarks.rows import IMAGE, Intake, text_of

SALT = "crope"
"""Part of every item's id; another salt would give the same items other ids."""
TEMPLATE = "There is {concept} in the image."
_TEXTS = ("metadata.image_en_concept", "metadata.definition_concept", "answer")
BOTH_RIGHT = "the picture shows both concepts"


@dataclass(frozen=True, kw_only=True)
class ConceptPictures:
    """One side of a CROPE row: a concept, its pictures' keys, and its region, category and part where known.

    ``cluster`` is the unit of resampling for its questions; empty if it is the concept.
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
    """Make one two-way question per picture of every row.

    With two options nothing is drawn, so the variants differ only in ties. As published, the options of a row are
    shuffled once for all its questions.

    Args:
        rows: (concept of the main picture, concept of the definition). A side without pictures has no questions: its
            pictures are the items, and the code that dropped them has listed them.
        variant: Rule for the credit of a tie.
    """
    asked: dict[str, Question] = {}
    unposed = []
    for row in rows:
        order = "" if variant == "fair" else item_key("order", SALT, *(side.concept_id for side in row))
        for own, other in (row, row[::-1]):
            reason = _reason(own, other)
            if reason:
                unposed.append(Unposed(own.name, reason))
                continue
            names = (own.name, other.name)
            options = tuple(TEMPLATE.format(concept=name) for name in names)
            for image in own.images:
                item_id = item_key(METRICS[variant], SALT, own.concept_id, other.concept_id, image)
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
                    names=names,
                )
    return QuestionSet(tuple(asked.values()), tuple(unposed))


def part_doubtful(
    rows: Sequence[tuple[ConceptPictures, ConceptPictures]], right: Mapping[str, Collection[str]]
) -> tuple[list[tuple[ConceptPictures, ConceptPictures]], list[Unposed]]:
    """Separate the pictures that show both concepts of a row: both options would be right.

    Args:
        rows: (concept of the main picture, concept of the definition).
        right: Picture -> names of all concepts that any row says it shows.

    Returns:
        The rows without these pictures, and one left-out item for each of them.
    """
    asked, doubtful = [], []
    for row in rows:
        if row[0].name == row[1].name:  # `_reason` has a reason for this
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
    """Say why nothing can be asked; empty if something can."""
    if not own.name or not other.name:
        return "a concept has no name"
    return "both concepts have the same name" if own.name == other.name else ""


def build(declaration: Declaration, intake: Intake) -> Benchmark:
    """Ask CROPE. Columns: ``image``, ``definition_images``, two concepts and ``answer``; asked where that is "no"."""
    rows: list[tuple[ConceptPictures, ConceptPictures]] = []
    shows: list[tuple[str, str]] = []
    left_out = list(intake.left_out)
    for row in intake.rows:
        own, other, answer = (text_of(row, name) for name in _TEXTS)
        if missing := [name for name, text in zip(_TEXTS, (own, other, answer), strict=True) if not text]:
            left_out.append(Unposed(row.place, f"no {missing[0]}"))
            continue
        sides = ((own, row.images.get(IMAGE, ())), (other, row.images.get("definition_images", ())))
        shows += [(image, name) for name, images in sides for image in images]
        if answer.casefold() != "no":
            shows += [(image, other) for image in row.images.get(IMAGE, ())]
            left_out.append(Unposed(row.place, "its answer is not no: the definition is the picture's own"))
        else:
            pictures = (IMAGE, "definition_images")
            left_out += [Unposed(row.place, f"no {column}") for column in pictures if column not in row.images]
            a, b = (ConceptPictures(concept_id=named_concept(name), name=name, images=images) for name, images in sides)
            rows.append((a, b))
    clusters = cluster_by_picture((image, named_concept(name)) for image, name in shows)
    rows = [(_in_cluster(a, clusters), _in_cluster(b, clusters)) for a, b in rows]
    asked, doubtful = part_doubtful(rows, right_answers(shows))
    if declaration.as_published:
        changed = tuple(Changed(item.item, f"{item.reason}; {AS_PUBLISHED}") for item in doubtful)
        questions = replace(ask_both(ask_crope, asked, rows), changed=changed)
        return build_choices(declaration, intake, questions, left_out)
    return build_choices(declaration, intake, ask_both(ask_crope, asked), [*left_out, *doubtful])


def _in_cluster(side: ConceptPictures, clusters: Mapping[str, str]) -> ConceptPictures:
    return replace(side, cluster=clusters.get(side.concept_id, side.concept_id))


PROTOCOL = Protocol(
    question="Is it the concept, or the look-alike that is defined beside it?",
    benchmark=ChoiceBenchmark,
    build=build,
    columns=(IMAGE, "definition_images", *_TEXTS),
    pictures=(IMAGE, "definition_images"),
    lists=("definition_images",),
    metrics=("accuracy",),
    exported={"accuracy": "acc"},
    names_concepts=True,
    has_published_variant=True,
)
