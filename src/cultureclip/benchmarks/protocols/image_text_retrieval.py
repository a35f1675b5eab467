"""Image-text retrieval on general things: R@1, R@5 and R@10 both ways, with any number of captions per image.

An image finds its text if one of its own captions is among the first k; a text finds its image in the same way.
Candidates of equal cosine are in random order: an item's credit is the probability of a hit over these orders.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from cultureclip.benchmarks.protocols.benchmark import Benchmark, Declaration, Embeddings
from cultureclip.benchmarks.protocols.items import Prediction, Unposed, item_key, part_of
from cultureclip.benchmarks.protocols.protocol import Protocol
from cultureclip.benchmarks.protocols.recall import Ranking, rank
from cultureclip.benchmarks.protocols.shared_pictures import cluster_by_picture
from cultureclip.benchmarks.rows import IMAGE, Intake, without_image
from cultureclip.ids import digest

SALT = "general-retrieval"
"""Part of every item's id; another salt would give the same items other ids."""
CUTOFFS = (1, 5, 10)


@dataclass(frozen=True, kw_only=True)
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
    """A query: key of a picture or a text, and the fields of its prediction."""

    name: str
    family: str
    part: str
    image: str = ""


def answer_image_text_retrieval(items: Sequence[Captioned], images: np.ndarray, texts: np.ndarray) -> list[Prediction]:
    """Return predictions for every image and every distinct text, at every cut-off.

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
    """Return all captions, each once, in order of first use."""
    return list(dict.fromkeys(caption for item in items for caption in item.captions))


def _own(captions: Sequence[str], items: Sequence[Captioned], pairs: np.ndarray) -> list[_Query]:
    """Return captions as queries; a caption of two families counts for the first in alphabetical order."""
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
                item_id=item_key(f"{direction} R@{k}", SALT, query.name),
                cluster=query.family,
                part=query.part,
                options=tuple(candidates[i] for i in best[row]),
                scores=tuple(cosines[row]),
                predicted=0,
                correct=float(credit[row]),
                image=query.image,
            )
            for row, query in enumerate(queries)
        ]
    return predictions


@dataclass(frozen=True)
class ImageTextRetrievalBenchmark(Benchmark):
    """Captioned pictures, each to be found by its texts and the other way round."""

    task: ClassVar[str] = "zeroshot_retrieval"

    items: Sequence[Captioned] = ()

    @property
    def texts(self) -> list[str]:
        """Every caption, once."""
        return distinct_texts(self.items)

    @property
    def size(self) -> int:
        """Number of pictures and texts: each is a query."""
        return len(self.items) + len(self.texts)

    @property
    def concepts(self) -> set[str]:
        """Families of emoji."""
        return {item.family for item in self.items}

    @property
    def data_hash(self) -> str:
        """Digest of pictures and captions."""
        return digest(self.name, sorted((item.image, sorted(item.captions), item.family) for item in self.items))

    def answer(self, embeddings: Embeddings) -> list[Prediction]:
        """Return recall at every cut-off, both ways."""
        images = embeddings.images[[embeddings.image_rows[item.image] for item in self.items]]
        texts = embeddings.texts[[embeddings.text_rows[text] for text in self.texts]]
        return answer_image_text_retrieval(self.items, images, texts)

    def without(self, failed: Mapping[str, str]) -> Self:
        """Return the benchmark without these pictures and the captions that only they have."""
        return self._less("items", lambda item: [item.image], failed)


def build(declaration: Declaration, intake: Intake) -> Benchmark:
    """Build image-text retrieval. Columns: ``image``, ``captions`` (any number)."""
    left_out = list(intake.left_out)
    captions: dict[str, dict[str, None]] = {}
    for row in intake.rows:
        image = row.image(IMAGE)
        given = row.values.get("captions")
        listed = given if isinstance(given, list) else [given]  # a column of single captions is one of lists of one
        texts = [text.strip() for text in listed if isinstance(text, str) and text.strip()]
        if image is None:
            left_out += without_image(row)
        elif not texts:
            left_out.append(Unposed(row.place, "no captions"))
        else:
            captions.setdefault(image, {}).update(dict.fromkeys(texts))
    # Pictures that share a caption form one cluster, because the caption is one item about all of them.
    families = cluster_by_picture((text, image) for image, texts in captions.items() for text in texts)
    items = tuple(
        Captioned(image=image, captions=tuple(texts), family=families[image], part="test")
        for image, texts in captions.items()
    )
    return ImageTextRetrievalBenchmark(declaration, intake.pictures.only(set(captions)), items, unposed=tuple(left_out))


PROTOCOL = Protocol(
    question="Which caption belongs to which picture?",
    benchmark=ImageTextRetrievalBenchmark,
    build=build,
    columns=(IMAGE, "captions"),
    lists=("captions",),
    metrics=tuple(f"{way} R@{k}" for way in ("image-to-text", "text-to-image") for k in CUTOFFS),
    # CLIP_benchmark names a retrieval after the kind of item that is found.
    exported={f"text-to-image R@{k}": f"image_retrieval_recall@{k}" for k in CUTOFFS}
    | {f"image-to-text R@{k}": f"text_retrieval_recall@{k}" for k in CUTOFFS},
)
