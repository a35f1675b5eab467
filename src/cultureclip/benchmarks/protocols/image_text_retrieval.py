"""Image-text retrieval on general things: R@1, R@5 and R@10 both ways, with any number of captions an image.

An image finds its text when one of its own captions is among the first k; a text, when one of its own images is.
Candidates of equal cosine come in random order: an item's credit is the chance that this order is lucky.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from cultureclip.benchmarks.protocols.items import Prediction, item_key, part_of
from cultureclip.benchmarks.protocols.recall import Ranking, rank

NAME = "general-retrieval"
TEMPLATE = "a picture of {name}"
CUTOFFS = (1, 5, 10)


@dataclass(frozen=True)
class Captioned:
    """A picture's key, its captions and the family of variants that it belongs to.

    ``part`` is ``dev`` or ``test``; None: drawn by family.
    """

    image: str
    captions: tuple[str, ...]
    family: str
    part: str | None = None


@dataclass(frozen=True)
class _Query:
    """What is searched with: key of a picture or a text, and what its prediction counts for."""

    name: str
    family: str
    part: str
    image: str = ""


def answer_general_retrieval(items: Sequence[Captioned], images: np.ndarray, texts: np.ndarray) -> list[Prediction]:
    """Predictions for every image and every distinct text, at every cut-off.

    Args:
        items: The pictures, in the order of ``images``; every distinct text of :func:`distinct_texts` in that order.
        images: L2-normalised embeddings, [images, D].
        texts: L2-normalised embeddings, [texts, D].
    """
    if not items:
        return []
    captions = distinct_texts(items)
    place = {caption: i for i, caption in enumerate(captions)}
    pairs = np.array([(i, place[caption]) for i, item in enumerate(items) for caption in dict.fromkeys(item.captions)])
    seen = [_Query(item.image, item.family, item.part or part_of(item.family), item.image) for item in items]
    read = _own(captions, items, pairs)
    found_texts = rank(images, texts, pairs, max(CUTOFFS))
    found_images = rank(texts, images, pairs[:, ::-1], max(CUTOFFS))
    return [
        *_answer("image-to-text", found_texts, seen, captions),
        *_answer("text-to-image", found_images, read, [item.image for item in items]),
    ]


def distinct_texts(items: Iterable[Captioned]) -> list[str]:
    """All captions, each once, in order of first use."""
    return list(dict.fromkeys(caption for item in items for caption in item.captions))


def _own(captions: Sequence[str], items: Sequence[Captioned], pairs: np.ndarray) -> list[_Query]:
    """Captions as queries; one shared by two families counts for the first in alphabetical order."""
    owners: dict[int, Captioned] = {}
    for image, text in pairs.tolist():
        if text not in owners or items[image].family < owners[text].family:
            owners[text] = items[image]
    return [
        _Query(caption, owners[i].family, owners[i].part or part_of(owners[i].family))
        for i, caption in enumerate(captions)
    ]


def _answer(direction: str, ranking: Ranking, queries: Sequence[_Query], candidates: Sequence[str]) -> list[Prediction]:
    predictions = []
    for k in CUTOFFS:
        best, cosines, credit = ranking.best[:, :k].tolist(), ranking.cosines[:, :k].tolist(), ranking.credit(k)
        predictions += [
            Prediction(
                item_key(f"{direction} R@{k}", NAME, query.name),
                query.family,
                query.part,
                tuple(candidates[i] for i in best[row]),
                tuple(cosines[row]),
                0,
                float(credit[row]),
                query.image,
            )
            for row, query in enumerate(queries)
        ]
    return predictions
