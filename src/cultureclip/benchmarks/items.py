"""What every protocol is made of: pictures by content, questions with options, predictions, and seeded draws."""

import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cultureclip.ids import bytes_digest, digest, hash_fraction, seed_from_id

DEV_SHARE = 0.25
"""Share of the concepts whose questions may guide choices; the others are scored once."""

DISTRACTORS = 3
"""Wrong options of a four-way question: chance is 25 %."""

COSINE_DECIMALS = 6
"""float32 embeddings of one picture differ by about 1e-7 between batch shapes: a smaller margin is a tie."""


@dataclass(frozen=True)
class Question:
    """A picture and texts, one of which is right.

    Attributes:
        item_id: ``<metric>:<id>``.
        image: Key of the picture (:func:`picture_key`).
        options: Texts; the right one is the first. Ties share the credit, so the order decides nothing.
        cluster: The concept shown; intervals resample by it.
        part: ``dev`` or ``test``.
    """

    item_id: str
    image: str
    options: tuple[str, ...]
    cluster: str
    part: str


@dataclass(frozen=True)
class Unposed:
    """An item that a protocol could not turn into a question, and why."""

    item: str
    reason: str


@dataclass(frozen=True)
class QuestionSet:
    """What a protocol makes of its items: questions, and the items it had to leave out."""

    questions: tuple[Question, ...]
    unposed: tuple[Unposed, ...] = ()


@dataclass(frozen=True)
class Shown:
    """A culture-bound concept with its held-out picture, as the protocols read it.

    Attributes:
        concept_id: Id of the concept.
        name: Its name, as texts say it.
        universal: The kind of thing.
        regions: Display names of the regions it is at home in.
        image: Key of its picture.
        alike: Ids of concepts whose drawings cannot be told from this one.
    """

    concept_id: str
    name: str
    universal: str
    regions: tuple[str, ...]
    image: str
    alike: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Prediction:
    """A model's answer to one item.

    Attributes:
        item_id: ``<metric>:<id>``.
        cluster: What the interval resamples by.
        part: ``dev`` or ``test``.
        options: Candidate texts or pictures, for retrieval the best k only.
        scores: Their cosines, in the same order.
        predicted: Position of the model's choice among the options.
        correct: Credit in [0, 1]; a tie shares it.
    """

    item_id: str
    cluster: str
    part: str
    options: tuple[str, ...]
    scores: tuple[float, ...]
    predicted: int
    correct: float

    def as_row(self, benchmark: str, model: str) -> dict[str, Any]:
        """A row of the predictions table."""
        values = {name: getattr(self, name) for name in ("item_id", "cluster", "part", "predicted", "correct")}
        return {"benchmark": benchmark, "model": model, **values, "options": [*self.options], "scores": [*self.scores]}


def item_key(metric: str, *fields: str) -> str:
    """Id of an item: the metric that it counts for, and a digest of what defines it."""
    return f"{metric}:{digest(*fields)}"


def metric_of(item_id: str) -> str:
    """The metric that an item counts for."""
    return item_id.partition(":")[0]


def picture_key(pixels: np.ndarray) -> str:
    """SHA-256 of an RGB picture's size and pixels: uint8 [H, W, 3]."""
    return bytes_digest(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes())


def part_of(cluster: str) -> str:
    """``dev`` or ``test``, fixed by the concept alone."""
    return "dev" if hash_fraction(cluster, "benchmark-part") < DEV_SHARE else "test"


def draw_distractors(candidates: Iterable[str], excluded: Collection[str], item_id: str) -> Sequence[str] | None:
    """Draw three wrong options.

    Candidates are sorted and the generator is seeded by the item: the draw depends neither on the order of rows, nor on
    other items, nor on Python's hash seed.

    Returns:
        Three candidates, or None when fewer are left.
    """
    left = sorted(set(candidates) - set(excluded))
    if len(left) < DISTRACTORS:
        return None
    return random.Random(seed_from_id(item_id)).sample(left, DISTRACTORS)


def round_cosines(scores: np.ndarray) -> np.ndarray:
    """Cosines at the precision at which they are compared, float64 of the same shape."""
    return np.round(scores.astype(np.float64), COSINE_DECIMALS)
