"""Pictures that occur in several rows: all right answers for each, and which rows are not independent."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Protocol, TypeVar

import numpy as np

from cultureclip.benchmarks.protocols.benchmark import Declaration
from cultureclip.benchmarks.protocols.items import ALSO_RIGHT, Changed, QuestionSet, Shown, Unposed, Variant, ask_both
from cultureclip.graphs import Node, connect

ALL_RIGHT = "every class is right for the picture"
Answer = TypeVar("Answer", bound=Hashable)


class _Labelled(Protocol):
    @property
    def image(self) -> str: ...

    @property
    def label(self) -> int | str: ...


LabelledItem = TypeVar("LabelledItem", bound=_Labelled)


def right_answers(rows: Iterable[tuple[str, Answer]]) -> dict[str, set[Answer]]:
    """Collect all that the rows of each picture name.

    Args:
        rows: (picture, answer) of every row.
    """
    right: dict[str, set[Answer]] = defaultdict(set)
    for picture, answer in rows:
        right[picture].add(answer)
    return dict(right)


def cluster_by_picture(rows: Iterable[tuple[str, Node]]) -> dict[Node, Node]:
    """Map every concept to its cluster: the smallest of all concepts linked to it by shared pictures, also indirectly.

    A concept that shares no picture is its own cluster.

    Args:
        rows: (picture, concept) of every row.
    """
    first: dict[str, Node] = {}
    return connect((first.setdefault(picture, concept), concept) for picture, concept in rows)


def part_labelled(
    items: Iterable[LabelledItem], classes: int
) -> tuple[tuple[LabelledItem, ...], tuple[Unposed, ...], tuple[Changed, ...]]:
    """Leave out the pictures for which every class is right, and list those with several right classes.

    Args:
        items: Pictures with a label each.
        classes: Number of classes offered.
    """
    items = list(items)
    labels = right_answers((item.image, item.label) for item in items)
    kept = tuple(item for item in items if len(labels[item.image]) < classes)
    lost = (item for item in items if len(labels[item.image]) >= classes)
    unposed = tuple(Unposed(f"{item.image}: {item.label}", ALL_RIGHT) for item in lost)
    changed = tuple(Changed(f"{i.image}: {i.label}", ALSO_RIGHT) for i in kept if len(labels[i.image]) > 1)
    return kept, unposed, changed


def mean_chance(items: Sequence[LabelledItem], classes: int, k: int) -> float:
    """Return the mean chance that guessing finds the label among the first k of the offered classes."""
    labels = right_answers((item.image, item.label) for item in items)
    offered = Counter(classes + 1 - len(labels[item.image]) for item in items) or Counter([classes])
    return float(sum(n * Fraction(min(k, count), count) for count, n in offered.items()) / offered.total())


def ask_shown(declaration: Declaration, ask: Callable[..., QuestionSet], items: Sequence[Shown]) -> QuestionSet:
    """Ask both variants about pictures that several rows may name.

    Args:
        declaration: Declaration that says whether the published variant asks as published.
        ask: Function of a protocol that makes the questions.
        items: One item per row.
    """
    right = right_answers((item.image, item.concept_id) for item in items)
    clusters = cluster_by_picture((item.image, item.concept_id) for item in items)
    items = [replace(item, cluster=clusters[item.concept_id]) for item in items]
    told = [replace(item, alike=frozenset(right[item.image] - {item.concept_id})) for item in items]
    first: Variant = "as_released" if declaration.as_released else "as_published"
    return ask_both(ask, told, items if declaration.as_published else None, first)


def hide_also_right(scores: np.ndarray, right: np.ndarray, also_right: Iterable[Iterable[int]]) -> np.ndarray:
    """Remove a picture's other right answers from the ranking.

    Args:
        scores: [pictures, answers].
        right: Column of the answer asked for, [pictures].
        also_right: Columns of all right answers, per picture.

    Returns:
        The scores, minus infinity for right answers that are not asked for.
    """
    hidden = scores.copy()
    for row, columns in enumerate(also_right):
        hidden[row, [column for column in columns if column != right[row]]] = -np.inf
    return hidden
