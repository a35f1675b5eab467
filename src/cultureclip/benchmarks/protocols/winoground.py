"""Winoground (Thrush et al., 2022, arXiv 2204.03162): two pictures, two texts, and which belongs to which.

With s(i, t) the cosine of picture i and text t:

    text score:  s(a, a) > s(a, b)  and  s(b, b) > s(b, a)      each picture prefers its own text
    image score: s(a, a) > s(b, a)  and  s(b, b) > s(a, b)      each text prefers its own picture
    group score: both

All inequalities are strict, so a tie is wrong and a collapsed model scores 0. Guessing scores 1/4, 1/4 and 1/6. Ties
earn no credit here, because the published score gives none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from cultureclip.benchmarks.protocols.benchmark import Benchmark, Declaration, Embeddings
from cultureclip.benchmarks.protocols.items import Prediction, Unposed, item_key, round_cosines
from cultureclip.benchmarks.protocols.protocol import Protocol
from cultureclip.benchmarks.protocols.shared_pictures import cluster_by_picture, right_answers
from cultureclip.benchmarks.rows import Intake, text_of
from cultureclip.ids import digest

SALT = "twin-scores"
"""Part of every item's id; another salt would give the same items other ids."""
CHANCES = {"text": 1 / 4, "image": 1 / 4, "group": 1 / 6}
"""Metric -> score of random guessing."""


@dataclass(frozen=True, kw_only=True)
class WinogroundItem:
    """Two pictures and the text of each.

    Attributes:
        images: Keys of the pictures.
        texts: Their texts, in the same order.
        cluster: Unit of resampling; twins that share a concept, also indirectly, are one cluster.
        part: ``dev`` or ``test``.
        category: Kind of thing shown, if any.
    """

    images: tuple[str, str]
    texts: tuple[str, str]
    cluster: str
    part: str = "test"
    category: str = ""


def answer_winoground(twins: Sequence[WinogroundItem], images: np.ndarray, texts: np.ndarray) -> list[Prediction]:
    """Return the text, image and group score of every twin.

    A prediction's options are the two sides of the comparison with the smallest margin, the right one first: this
    comparison decides the score.

    Args:
        twins: The items.
        images: L2-normalised embeddings, [twins, 2, D].
        texts: L2-normalised embeddings, [twins, 2, D].

    Returns:
        Three predictions per twin.

    Raises:
        WeightsError: if a cosine is not finite.
    """
    cosines = round_cosines(np.einsum("nid,ntd->nit", images, texts))
    return [prediction for twin, s in zip(twins, cosines, strict=True) for prediction in _answer(twin, s)]


@dataclass(frozen=True)
class WinogroundBenchmark(Benchmark):
    """Twins, each with two pictures and two texts."""

    twins: Sequence[WinogroundItem] = ()

    @property
    def texts(self) -> list[str]:
        """Every text, once."""
        return list(dict.fromkeys(text for twin in self.twins for text in twin.texts))

    @property
    def size(self) -> int:
        """Twins."""
        return len(self.twins)

    @property
    def concepts(self) -> set[str]:
        """Clusters of twins."""
        return {twin.cluster for twin in self.twins}

    @property
    def data_hash(self) -> str:
        """Digest of pictures, texts, parts and categories."""
        return digest(self.name, sorted((twin.images, twin.texts, twin.part, twin.category) for twin in self.twins))

    @property
    def chances(self) -> dict[str, float]:
        """Chances for four different cosines in random order."""
        return dict(CHANCES)

    def answer(self, embeddings: Embeddings) -> list[Prediction]:
        """Return the text, image and group score of every twin."""
        if not self.twins:
            return []
        images = embeddings.images[[[embeddings.image_rows[key] for key in twin.images] for twin in self.twins]]
        texts = embeddings.texts[[[embeddings.text_rows[text] for text in twin.texts] for twin in self.twins]]
        return answer_winoground(self.twins, images, texts)

    def without(self, failed: Mapping[str, str]) -> Self:
        """Return the benchmark without the twins that have an unreadable picture."""
        return self._less("twins", lambda twin: twin.images, failed)


def _answer(twin: WinogroundItem, s: np.ndarray) -> list[Prediction]:
    """Return the three predictions of a twin; ``s`` are its cosines, [pictures, texts]."""
    comparisons: dict[str, list[tuple[str, tuple[str, str], float, float]]] = {"text": [], "image": []}
    for own, other in ((0, 1), (1, 0)):
        picture = twin.images[own]
        texts, pictures = (twin.texts[own], twin.texts[other]), (picture, twin.images[other])
        comparisons["text"].append((picture, texts, s[own, own], s[own, other]))
        comparisons["image"].append((picture, pictures, s[own, own], s[other, own]))
    comparisons["group"] = comparisons["text"] + comparisons["image"]
    predictions = []
    for metric in CHANCES:
        picture, options, right, wrong = min(comparisons[metric], key=lambda c: c[2] - c[3])
        correct = right > wrong
        predictions.append(
            Prediction(
                item_id=item_key(metric, SALT, *twin.images, *twin.texts),
                cluster=twin.cluster,
                part=twin.part,
                options=options,
                scores=(float(right), float(wrong)),
                predicted=0 if correct else 1,
                correct=float(correct),
                image=picture,
                category=twin.category,
            )
        )
    return predictions


def build(declaration: Declaration, intake: Intake) -> Benchmark:
    """Ask Winoground. Columns: ``image_0``, ``image_1``, ``caption_0``, ``caption_1``; ``tag`` may be missing."""
    left_out = list(intake.left_out)
    complete: list[tuple[str, tuple[str, str], tuple[str, str], str]] = []
    for row in intake.rows:
        first, second = row.image("image_0"), row.image("image_1")
        texts = (text_of(row, "caption_0"), text_of(row, "caption_1"))
        if first is None or second is None:
            left_out += [] if {"image_0", "image_1"} <= row.images.keys() else [Unposed(row.place, "no two images")]
        elif "" in texts or texts[0] == texts[1] or first == second:
            left_out.append(Unposed(row.place, "no two different captions and images"))
        else:
            complete.append((row.place, (first, second), texts, text_of(row, "tag")))
    right = right_answers(own for _, images, texts, _ in complete for own in zip(images, texts, strict=True))
    asked: dict[frozenset[tuple[str, str]], tuple[int, WinogroundItem]] = {}
    for number, (place, images, texts, tag) in enumerate(complete):
        key = frozenset(zip(images, texts, strict=True))  # the order of the sides has no effect
        if key in asked:
            left_out.append(Unposed(place, "the same pictures and captions were asked about before"))
        elif texts[1] in right[images[0]] or texts[0] in right[images[1]]:
            left_out.append(Unposed(place, "both captions are right for one picture: another row says so"))
        else:
            asked[key] = (number, WinogroundItem(images=images, texts=texts, cluster="", category=tag))
    # A picture or a caption in two rows links them, as a concept in two pocket twins does.
    clusters = cluster_by_picture((thing, n) for n, twin in asked.values() for thing in (*twin.images, *twin.texts))
    twins = tuple(
        # Lines of two files never form one cluster.
        replace(twin, cluster=f"{declaration.name}: {complete[clusters[number]][0]}")
        for number, twin in asked.values()
    )
    pictures = intake.pictures.only({image for twin in twins for image in twin.images})
    return WinogroundBenchmark(declaration, pictures, unposed=tuple(left_out), twins=twins)


PROTOCOL = Protocol(
    question="Which of two captions belongs to which of two pictures?",
    benchmark=WinogroundBenchmark,
    build=build,
    columns=("image_0", "image_1", "caption_0", "caption_1", "tag"),
    pictures=("image_0", "image_1"),
    metrics=("group",),
)
