"""CultureVerse's three kinds of question (Liu et al., 2025, arXiv 2501.01282), made from any table of concepts.

CultureVerse asks a vision-language model to recognise a concept, to know what it is, and to reason about the scene
that it belongs to. A CLIP cannot read questions: each question becomes four statements about the picture, of which one
true.

    recognition  what it is called
    knowledge    what it is: the concept's context
    scene        where it belongs and what is seen there: its region and key visual features

The three wrong statements are those of other concepts of the same category, none of which shares a region with the
right one. A generator seeded by the item draws the wrong statements, and a tie shares the credit.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cultureclip.benchmarks.protocols.benchmark import Benchmark, Declaration
from cultureclip.benchmarks.protocols.choice import ChoiceBenchmark, build_choices
from cultureclip.benchmarks.protocols.items import (
    DISTRACTORS,
    Question,
    QuestionSet,
    Shown,
    Unposed,
    draw_distractors,
    item_key,
)
from cultureclip.benchmarks.protocols.protocol import Protocol
from cultureclip.benchmarks.protocols.shared_pictures import cluster_by_picture, right_answers
from cultureclip.benchmarks.rows import IMAGE, Intake, complete_rows, text_of
from cultureclip.ids import digest

SALT = "culture-questions"
"""Part of every item's id; another salt would give the same items other ids."""


@dataclass(frozen=True)
class Described:
    """A concept's picture with the known facts about the concept."""

    shown: Shown
    context: str
    features: tuple[str, ...]


def _recognise(item: Described) -> str:
    return f"This is {item.shown.name}."


def _know(item: Described) -> str:
    return item.context


def _scene(item: Described) -> str:
    regions = " or ".join(item.shown.regions[:2])
    return f"A scene in {regions} with {', '.join(item.features[:3])}." if item.features and regions else ""


STATEMENTS: dict[str, Callable[[Described], str]] = {"recognition": _recognise, "knowledge": _know, "scene": _scene}


def ask_culture_questions(items: Sequence[Described]) -> QuestionSet:
    """Make up to three questions per concept with a picture.

    Args:
        items: One item per concept.
    """
    stated = {item.shown.concept_id: {metric: state(item) for metric, state in STATEMENTS.items()} for item in items}
    of_category: dict[str, list[Shown]] = defaultdict(list)
    for item in items:
        of_category[item.shown.category].append(item.shown)
    questions, unposed = [], []
    for shown in sorted((item.shown for item in items), key=lambda shown: shown.concept_id):
        others = [stated[o.concept_id] for o in of_category[shown.category] if _may_be_wrong(o, shown)]
        for metric, right in stated[shown.concept_id].items():
            question, reason = _ask(metric, shown, right, (other[metric] for other in others))
            if question:
                questions.append(question)
            else:
                unposed.append(Unposed(f"{metric}: {shown.name}", reason))
    return QuestionSet(tuple(questions), tuple(unposed))


def _may_be_wrong(other: Shown, item: Shown) -> bool:
    """Tell whether a statement that is true of the other is false of the item: they share no region and no look."""
    return other.concept_id not in item.alike and not set(other.regions) & set(item.regions)


def _ask(metric: str, shown: Shown, right: str, others: Iterable[str]) -> tuple[Question | None, str]:
    """Return the question with the right statement and three wrong ones, or None and the reason."""
    if not right:
        return None, "the concept lacks what is asked about"
    item_id = item_key(metric, SALT, shown.concept_id)
    wrong = {*others} - {right, ""}
    drawn = draw_distractors(wrong, (), item_id)
    if drawn is None:
        return None, f"fewer than {DISTRACTORS} wrong statements"
    culture = shown.regions[0] if len(shown.regions) == 1 else ""
    return shown.ask(item_id, (right, *drawn), culture), ""


def build(declaration: Declaration, intake: Intake) -> Benchmark:
    """Ask one concept per row: ``image``, ``name``, ``category``; optional ``region``, ``context``, ``features``."""
    complete, left_out = complete_rows(intake, "name", "category")
    concepts = [digest("concept", name, text_of(row, "region")) for row, _, (name, _) in complete]
    pictures = [image for _, image, _ in complete]
    right = right_answers(zip(pictures, concepts, strict=True))
    clusters = cluster_by_picture(zip(pictures, concepts, strict=True))
    items: dict[str, Described] = {}
    for concept, (row, image, (name, category)) in zip(concepts, complete, strict=True):
        if concept in items:
            left_out.append(Unposed(row.place, "the same concept was asked about before"))
            continue
        shown = Shown(
            concept_id=concept,
            name=name,
            universal="",
            regions=tuple(filter(None, [text_of(row, "region")])),
            image=image,
            alike=frozenset(right[image] - {concept}),
            category=category,
            cluster=clusters[concept],
        )
        features = row.values.get("features")
        listed = features if isinstance(features, list) else []
        told = tuple(feature for feature in listed if isinstance(feature, str))
        items[concept] = Described(shown, text_of(row, "context"), told)
    return build_choices(declaration, intake, ask_culture_questions(list(items.values())), left_out)


PROTOCOL = Protocol(
    question="What is it called, what is it, and which scene does it belong to?",
    benchmark=ChoiceBenchmark,
    build=build,
    columns=(IMAGE, "name", "category", "region", "context", "features"),
    lists=("features",),
    metrics=tuple(STATEMENTS),
)
