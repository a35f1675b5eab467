"""Twin evaluation: two pictures, two texts, and which belongs to which.

The scores are Winoground's (Thrush et al., 2022, arXiv 2204.03162). With s(i, t) the cosine of picture i and text t:

    text score:  s(a, a) > s(a, b)  and  s(b, b) > s(b, a)      each picture prefers its own text
    image score: s(a, a) > s(b, a)  and  s(b, b) > s(a, b)      each text prefers its own picture
    group score: both

All inequalities are strict, so a tie is wrong and a collapsed model scores 0. Guessing scores 1/4, 1/4 and 1/6. Ties
earn no part of the credit here: that would be another score than the published one, and the strict one flatters nobody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from cultureclip.benchmarks.protocols.benchmark import Benchmark, Embeddings
from cultureclip.benchmarks.protocols.items import Prediction, item_key, round_cosines
from cultureclip.ids import digest

NAME = "twin-scores"
CHANCES = {"text": 1 / 4, "image": 1 / 4, "group": 1 / 6}
"""Metric -> score of guessing."""


@dataclass(frozen=True)
class Twin:
    """Two pictures and the text of each.

    Attributes:
        images: Keys of the pictures.
        texts: Their texts, in the same order.
        cluster: What the interval resamples by; twins that share a concept, also over others, are one cluster.
        part: ``dev`` or ``test``.
        category: Kind of thing shown, where there is one.
    """

    images: tuple[str, str]
    texts: tuple[str, str]
    cluster: str
    part: str = "test"
    category: str = ""


def answer_twins(twins: Sequence[Twin], images: np.ndarray, texts: np.ndarray) -> list[Prediction]:
    """Text, image and group score of every twin.

    A prediction's options are the two sides of the comparison with the least margin, the right one first: that is what
    decided.

    Args:
        twins: What is asked.
        images: L2-normalised embeddings, [twins, 2, D].
        texts: L2-normalised embeddings, [twins, 2, D].

    Returns:
        Three predictions a twin.

    Raises:
        WeightsError: a cosine is not finite.
    """
    cosines = round_cosines(np.einsum("nid,ntd->nit", images, texts))
    return [prediction for twin, s in zip(twins, cosines, strict=True) for prediction in _answer(twin, s)]


@dataclass(frozen=True)
class TwinBenchmark(Benchmark):
    """Twins, each with two pictures and two texts."""

    twins: Sequence[Twin] = ()

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
        """Of four different cosines in random order."""
        return dict(CHANCES)

    def answer(self, embeddings: Embeddings) -> list[Prediction]:
        """Text, image and group score of every twin."""
        if not self.twins:
            return []
        images = embeddings.images[[[embeddings.image_rows[key] for key in twin.images] for twin in self.twins]]
        texts = embeddings.texts[[[embeddings.text_rows[text] for text in twin.texts] for twin in self.twins]]
        return answer_twins(self.twins, images, texts)

    def without(self, failed: Mapping[str, str]) -> Self:
        """Less the twins of which a picture cannot be read."""
        return self._less("twins", lambda twin: twin.images, failed)


def _answer(twin: Twin, s: np.ndarray) -> list[Prediction]:
    """The three predictions of a twin; ``s`` are its cosines, [pictures, texts]."""
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
                item_key(metric, NAME, *twin.images, *twin.texts),
                twin.cluster,
                twin.part,
                options,
                (float(right), float(wrong)),
                0 if correct else 1,
                float(correct),
                picture,
                category=twin.category,
            )
        )
    return predictions
