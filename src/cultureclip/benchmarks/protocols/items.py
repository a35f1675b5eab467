"""The parts of every protocol: pictures by content, questions with options, predictions, and seeded draws."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from cultureclip.errors import WeightsError
from cultureclip.ids import bytes_digest, digest, hash_fraction, seed_from_id

Variant = Literal["as_published", "as_released", "fair"]
"""Variant of a culture protocol.

``as_published``: three wrong options are drawn, and of tied options the first shown is the answer. ``as_released``: the
same, drawn as the released code draws them, in the order of a set (defect 10: it changes with ``PYTHONHASHSEED``).
``fair``: every wrong option of the region or universal is offered, so the score does not depend on a draw, and a tie
shares the credit.
"""

METRICS: dict[Variant, str] = {"as_published": "accuracy", "as_released": "accuracy", "fair": "accuracy_all"}

ALSO_RIGHT = "what else is right for its picture is not offered"
"""Reason why an item is changed."""

AS_PUBLISHED = f"{METRICS['as_published']} asks it as published"
"""Mark of an item that only the fair variant changes."""

DEV_SHARE = 0.25
"""Share of the concepts whose questions may guide choices; the other concepts are scored once."""

DISTRACTORS = 3
"""Wrong options of a four-way question: chance is 25 %."""

COSINE_DECIMALS = 6
"""float32 embeddings of one picture differ by about 1e-7 between batch shapes: a smaller margin is a tie."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A picture and texts, one of which is right.

    Attributes:
        item_id: ``<metric>:<id>``.
        image: Key of the picture (:func:`picture_key`).
        options: Texts, all different; the first is the right one. This order has no effect.
        cluster: The concept shown, or the concepts that share pictures with it; items of one cluster are not
            independent.
        part: ``dev`` or ``test``.
        culture: Display name of the region that the question is about, if any.
        category: Kind of thing shown, or class, if any.
        concept: Id of the concept shown; empty if it is the cluster.
        shuffled_by: Id that seeds the order in which the options are shown; the first shown wins a tie. By default
            a tie shares the credit.
        names: Name of the concept in each option, if the options differ only in the name.
        asked: The owner's question, if the options join it with an answer each.
        choices: These answers, in the order of the options.
    """

    item_id: str
    image: str
    options: tuple[str, ...]
    cluster: str
    part: str
    culture: str = ""
    category: str = ""
    shuffled_by: str = ""
    concept: str = ""
    names: tuple[str, ...] = ()
    asked: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unposed:
    """An item that a protocol could not turn into a question, and the reason."""

    item: str
    reason: str


@dataclass(frozen=True)
class Changed:
    """An item whose question differs from its owner's rule, and the change."""

    item: str
    reason: str


@dataclass(frozen=True)
class QuestionSet:
    """Questions that a protocol makes from its items, the items left out, and the items changed."""

    questions: tuple[Question, ...]
    unposed: tuple[Unposed, ...] = ()
    changed: tuple[Changed, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A picture that shows a culture-bound concept, as the protocols read it.

    Attributes:
        concept_id: Id of the concept.
        name: Name of the concept as texts say it.
        universal: The kind of thing.
        regions: Display names of the concept's regions.
        image: Key of its picture.
        alike: Ids of other concepts that the picture also shows.
        category: Category of the concept.
        part: ``dev`` or ``test``; published benchmarks are all ``test``.
        cluster: Unit of resampling for its questions; empty if it is the concept.
    """

    concept_id: str
    name: str
    universal: str
    regions: tuple[str, ...]
    image: str
    alike: frozenset[str] = field(default_factory=frozenset)
    category: str = ""
    part: str = "test"
    cluster: str = ""

    def ask(
        self,
        item_id: str,
        options: tuple[str, ...],
        culture: str,
        *,
        shuffled_by: str = "",
        names: tuple[str, ...] = (),
    ) -> Question:
        """Build a question about this picture; arguments as in :class:`Question`."""
        return Question(
            item_id=item_id,
            image=self.image,
            options=options,
            cluster=self.cluster or self.concept_id,
            part=self.part,
            culture=culture,
            category=self.category,
            shuffled_by=shuffled_by,
            concept=self.concept_id,
            names=names,
        )


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A model's answer to one item.

    Attributes:
        item_id: ``<metric>:<id>``.
        cluster: As in :class:`Question`.
        part: ``dev`` or ``test``.
        options: Candidate texts or pictures; for retrieval only the best k.
        scores: Cosines of the options, in the same order.
        predicted: Position of the model's choice among the options.
        correct: Credit in [0, 1]; a tie shares it.
        image: Key of the picture asked about; empty if the question is about a text.
        culture: Region that the item is about, if any.
        category: Kind of thing, or class, if any.
    """

    item_id: str
    cluster: str
    part: str
    options: tuple[str, ...]
    scores: tuple[float, ...]
    predicted: int
    correct: float
    image: str = ""
    culture: str = ""
    category: str = ""

    def as_row(self, benchmark: str, model: str) -> dict[str, Any]:
        """Return a row of the predictions table."""
        return {
            "benchmark": benchmark,
            "model": model,
            **vars(self),
            "options": [*self.options],
            "scores": [*self.scores],
        }


def item_key(metric: str, *fields: str) -> str:
    """Return the id of an item: its metric, and a digest of the fields that define it."""
    return f"{metric}:{digest(*fields)}"


def named_concept(name: str) -> str:
    """Return the id of a concept that a benchmark gives only by name."""
    return digest("concept", name)


def metric_of(item_id: str) -> str:
    """Return the metric that an item counts for."""
    return item_id.partition(":")[0]


def picture_key(pixels: np.ndarray) -> str:
    """Return the SHA-256 of an RGB picture's size and pixels: uint8 [H, W, 3]."""
    return bytes_digest(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes())


def part_of(cluster: str) -> str:
    """Return ``dev`` or ``test``, fixed by the concept alone."""
    return "dev" if hash_fraction(cluster, "benchmark-part") < DEV_SHARE else "test"


def draw_distractors(
    candidates: Iterable[str], excluded: Collection[str], item_id: str, variant: Variant = "as_published"
) -> Sequence[str] | None:
    """Return the wrong options of a question: three drawn ones, or all.

    Candidates are sorted and the item seeds the generator: the draw depends neither on the order of rows, nor on
    other items, nor on Python's hash seed. As released they are not sorted, and it does depend on that seed.

    Returns:
        Candidates, or None if fewer than three are left.
    """
    distinct = set(candidates) - set(excluded)
    left = list(distinct) if variant == "as_released" else sorted(distinct)
    if len(left) < DISTRACTORS:
        return None
    return left if variant == "fair" else random.Random(seed_from_id(item_id)).sample(left, DISTRACTORS)


def several_pictures(items: Iterable[Shown]) -> set[str]:
    """Return the ids of concepts with more than one picture: the ids of their questions must name the picture."""
    pictures: dict[str, set[str]] = defaultdict(set)
    for item in items:
        pictures[item.concept_id].add(item.image)
    return {concept for concept, images in pictures.items() if len(images) > 1}


def ask_both(
    ask: Callable[[Sequence[Any], Variant], QuestionSet],
    items: Sequence[Any],
    as_published: Sequence[Any] | None = None,
    first: Variant = "as_published",
) -> QuestionSet:
    """Ask both variants. An item that neither variant can ask is left out once.

    Args:
        ask: Function of a protocol that makes the questions.
        items: The items.
        as_published: The same items without word of other right answers for their pictures, if the first variant must
            follow the owners' rule. Questions that the fair variant lacks or changes are listed as changed.
        first: The variant beside the fair one.
    """
    published = ask(items if as_published is None else as_published, first)
    fair = ask(items, "fair")
    changed = list(fair.changed)
    if as_published is not None:
        refused = Counter(fair.unposed) - Counter(published.unposed)
        changed += [Changed(item.item, item.reason) for item in refused.elements()]
        changed = [Changed(item.item, f"{item.reason}; {AS_PUBLISHED}") for item in changed]
    return QuestionSet((*published.questions, *fair.questions), published.unposed, tuple(changed))


def round_cosines(scores: np.ndarray) -> np.ndarray:
    """Round cosines to the precision at which they are compared, float64 of the same shape.

    Raises:
        WeightsError: if cosines are not finite and cannot be ranked.
    """
    finite = np.isfinite(scores)
    if not finite.all():
        raise WeightsError(
            "embeddings",
            f"{finite.size - int(finite.sum())} of {finite.size} cosines are not finite",
            "The model returns NaN or infinite embeddings: check its weights, or train it again",
        )
    return np.round(scores.astype(np.float64), COSINE_DECIMALS)
