"""CultureVerse's three kinds of question (Liu et al., 2025, arXiv 2501.01282), made from any table of concepts.

CultureVerse asks a vision-language model to recognise a concept, to know what it is, and to reason about the scene
that it belongs to. A CLIP does not read questions: each is put as four statements about the picture, of which one is
true.

    recognition  what it is called
    knowledge    what it is: the concept's context
    scene        where it belongs and what is seen there: its region and key visual features

The three wrong statements are those of other concepts of the same category, none of which shares a region with the
right one. They are drawn by a generator that the item seeds, and a tie shares the credit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cultureclip.benchmarks.items import DISTRACTORS, Question, QuestionSet, Shown, Unposed, draw_distractors, item_key

NAME = "culture-questions"


@dataclass(frozen=True)
class Described:
    """A concept's picture with what is known of the concept."""

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
    """Up to three questions for every concept with a picture.

    Args:
        items: One a concept.
    """
    questions, unposed = [], []
    for item in sorted(items, key=lambda item: item.shown.concept_id):
        others = {other.shown.concept_id: other for other in items if _may_be_wrong(other.shown, item.shown)}
        for metric, state in STATEMENTS.items():
            question, reason = _ask(metric, state, item, others)
            if question:
                questions.append(question)
            else:
                unposed.append(Unposed(f"{metric}: {item.shown.name}", reason))
    return QuestionSet(tuple(questions), tuple(unposed))


def _may_be_wrong(other: Shown, item: Shown) -> bool:
    """Whether what is true of the other is false of the item: same category, no region in common, not drawn alike."""
    same_kind = other.category == item.category and other.concept_id not in item.alike
    return same_kind and not set(other.regions) & set(item.regions)


def _ask(
    metric: str, state: Callable[[Described], str], item: Described, others: dict[str, Described]
) -> tuple[Question | None, str]:
    """The question, or None and why."""
    shown, right = item.shown, state(item)
    if not right:
        return None, "the concept lacks what is asked about"
    item_id = item_key(metric, NAME, shown.concept_id)
    wrong = {state(other) for other in others.values()} - {right, ""}
    drawn = draw_distractors(wrong, (), item_id)
    if drawn is None:
        return None, f"fewer than {DISTRACTORS} wrong statements"
    culture = shown.regions[0] if len(shown.regions) == 1 else ""
    options = (right, *drawn)
    return Question(item_id, shown.image, options, shown.concept_id, shown.part, culture, shown.category), ""
