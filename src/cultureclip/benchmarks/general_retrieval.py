"""Image-text retrieval on general things: R@1, R@5 and R@10 both ways, with any number of captions an image.

An image finds its text when one of its own captions is among the first k; a text, when one of its own images is.
Candidates of equal cosine come in random order: an item's credit is the chance that this order is lucky.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import hypergeom

from cultureclip.benchmarks.items import Prediction, item_key, part_of, round_cosines

NAME = "general-retrieval"
TEMPLATE = "a picture of {name}"
CUTOFFS = (1, 5, 10)


@dataclass(frozen=True)
class Captioned:
    """A picture's key, its captions and the family of variants that it belongs to."""

    image: str
    captions: tuple[str, ...]
    family: str


def recall_credit(scores: np.ndarray, relevant: np.ndarray, k: int) -> np.ndarray:
    """Chance that at least one relevant candidate is among the first k.

    With g candidates above the best relevant one and t at its score, of which r are relevant, m = k - g places are
    dealt among the t: credit = 1 - C(t - r, m) / C(t, m), that is 1 or 0 where nothing ties.

    Args:
        scores: Cosines, [queries, candidates].
        relevant: Booleans of the same shape; every row has a True.
        k: Cut-off.

    Returns:
        Credit in [0, 1], [queries].
    """
    best = np.where(relevant, scores, -np.inf).max(axis=1, keepdims=True)
    tied = scores == best
    places = np.clip(k - (scores > best).sum(axis=1), 0, tied.sum(axis=1))
    return hypergeom.sf(0, tied.sum(axis=1), (tied & relevant).sum(axis=1), places)


def answer_general_retrieval(items: Sequence[Captioned], images: np.ndarray, texts: np.ndarray) -> list[Prediction]:
    """Predictions for every image and every distinct text, at every cut-off.

    Args:
        items: The pictures, in the order of ``images``; every distinct text of :func:`distinct_texts` in that order.
        images: L2-normalised embeddings, [images, D].
        texts: L2-normalised embeddings, [texts, D].
    """
    captions = distinct_texts(items)
    place = {caption: i for i, caption in enumerate(captions)}
    relevant = np.zeros((len(items), len(captions)), bool)
    for i, item in enumerate(items):
        relevant[i, [place[caption] for caption in item.captions]] = True
    keys = [item.image for item in items]
    families = [item.family for item in items]
    # A caption shared by two families counts for the first in alphabetical order.
    owners = [min(families[i] for i in np.flatnonzero(relevant[:, j])) for j in range(len(captions))]
    cosines = round_cosines(images @ texts.T)
    return [
        *_answer("image-to-text", cosines, relevant, queries=keys, candidates=captions, families=families),
        *_answer("text-to-image", cosines.T, relevant.T, queries=captions, candidates=keys, families=owners),
    ]


def distinct_texts(items: Iterable[Captioned]) -> list[str]:
    """All captions, each once, in order of first use."""
    return list(dict.fromkeys(caption for item in items for caption in item.captions))


def _answer(
    direction: str,
    scores: np.ndarray,
    relevant: np.ndarray,
    *,
    queries: Sequence[str],
    candidates: Sequence[str],
    families: Sequence[str],
) -> list[Prediction]:
    best = np.argsort(-scores, axis=1, kind="stable")[:, : max(CUTOFFS)]
    predictions = []
    for k in CUTOFFS:
        credit = recall_credit(scores, relevant, k)
        for row, query in enumerate(queries):
            first = best[row, :k]
            predictions.append(
                Prediction(
                    item_key(f"{direction} R@{k}", NAME, query),
                    families[row],
                    part_of(families[row]),
                    tuple(candidates[i] for i in first),
                    tuple(float(s) for s in scores[row, first]),
                    0,
                    float(credit[row]),
                )
            )
    return predictions
