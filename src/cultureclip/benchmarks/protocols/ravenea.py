"""RAVENEA's retrieval (Li et al., 2025, arXiv 2505.14462): which documents tell most of a picture's culture?

Annotators grade each document from -3 to 3. With the documents in the order of their cosine with the picture:

    nDCG@k = DCG@k / DCG@k of the best order,   DCG@k = sum over ranks r <= k of (2^(grade + 3) - 1) / log2(r + 1)
    P@k    = share of the first k that have the picture's highest grade; 0 for all models where that is not positive
    ERR@5  = sum over ranks r <= 5 of (chance that the reader stops at r) / r, who stops at a document with probability
             (2^max(grade, 0) - 1) / 2^3     (Chapelle et al., 2009)

Documents of equal cosine are in random order, and each figure is the exact mean over these orders.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import ClassVar, Self

import numpy as np

from cultureclip.benchmarks.protocols.benchmark import Benchmark, Declaration, Embeddings
from cultureclip.benchmarks.protocols.items import Prediction, Unposed, item_key, round_cosines
from cultureclip.benchmarks.protocols.protocol import Protocol
from cultureclip.benchmarks.rows import IMAGE, Intake, text_of, without_image
from cultureclip.ids import digest

SALT = "ravenea-retrieval"
"""Part of every item's id; another salt would give the same items other ids."""
HIGHEST_GRADE = 3
CUTOFFS = (1, 3, 5)
ERR_DEPTH = 5


@dataclass(frozen=True)
class Document:
    """A text with its grade for a picture: an integer from -3 to 3."""

    document_id: str
    text: str
    grade: int


@dataclass(frozen=True, kw_only=True)
class RaveneaItem:
    """A picture with its graded documents.

    Attributes:
        image: Key of the picture.
        documents: Documents to rank.
        culture: Region shown, if any.
        category: Kind of thing shown, if any.
    """

    image: str
    documents: tuple[Document, ...]
    culture: str = ""
    category: str = ""


def ask_ravenea(items: Sequence[RaveneaItem]) -> tuple[tuple[RaveneaItem, ...], tuple[Unposed, ...]]:
    """Return the pictures whose documents can be ranked, and the others."""
    kept: dict[str, RaveneaItem] = {}
    unposed = []
    for item in items:
        reason = _reason(item, repeated=item.image in kept)
        if reason:
            unposed.append(Unposed(item.image, reason))
        else:
            kept[item.image] = item
    return tuple(kept.values()), tuple(unposed)


def ndcg(scores: np.ndarray, grades: np.ndarray, k: int) -> float:
    """Compute nDCG@k.

    ``sklearn.metrics.ndcg_score`` agrees to rounding, ties included. It is not used for two reasons: a perfect ranking
    with ties may score 1.0000000000000002, which is not a credit, and a single document is an error.

    Args:
        scores: [documents].
        grades: [documents]; not all are -3.
        k: Cut-off.
    """
    gains = 2.0 ** (grades + HIGHEST_GRADE) - 1
    discounts = 1 / np.log2(np.arange(2, len(grades) + 2))
    discounts[k:] = 0
    # Compute both sums alike, else rounding may make a perfect ranking's sum larger than the best one's.
    ranked, best = ((_by_rank(by, gains) * discounts).sum() for by in (scores, gains))
    return float(ranked / best)


def precision(scores: np.ndarray, grades: np.ndarray, k: int) -> float:
    """Compute P@k; missing documents count as wrong ones if there are fewer than k."""
    best = (grades == grades.max()) & (grades.max() > 0)
    return float(_by_rank(scores, best.astype(float))[:k].sum() / k)


def expected_reciprocal_rank(scores: np.ndarray, grades: np.ndarray, k: int = ERR_DEPTH) -> float:
    """Compute ERR@k: sum over r of (P(r - 1) - P(r)) / r; P(r) is the chance of passing the first r documents.

    Within a group of tied documents P is averaged over their orders: it falls with the mean product of the group's
    passing chances over all subsets of its size, an elementary symmetric polynomial over a binomial coefficient.
    """
    passing = 1 - (2.0 ** np.maximum(grades, 0) - 1) / 2**HIGHEST_GRADE
    reached, chances = 1.0, [1.0]
    for group in _tied_groups(scores):
        symmetric = np.poly(-passing[group])
        chances += [reached * symmetric[j] / comb(len(group), j) for j in range(1, len(group) + 1)]
        reached = chances[-1]
    stops = -np.diff(chances)[:k]
    return float(stops @ (1 / np.arange(1, len(stops) + 1)))


def answer_ravenea(items: Sequence[RaveneaItem], cosines: Sequence[np.ndarray]) -> list[Prediction]:
    """Return every picture's nDCG and P at 1, 3 and 5, and its ERR.

    Args:
        items: The items.
        cosines: Cosines of each picture with its documents, [documents].

    Returns:
        Predictions with the five best documents' ids as options, and the figure as credit.

    Raises:
        WeightsError: if a cosine is not finite.
    """
    predictions = []
    for item, raw in zip(items, cosines, strict=True):
        scores = round_cosines(raw)
        grades = np.array([document.grade for document in item.documents])
        values = {f"nDCG@{k}": ndcg(scores, grades, k) for k in CUTOFFS}
        values |= {f"P@{k}": precision(scores, grades, k) for k in CUTOFFS}
        values[f"ERR@{ERR_DEPTH}"] = expected_reciprocal_rank(scores, grades)
        best = np.argsort(-scores, kind="stable")[: max(CUTOFFS)]
        predictions += [
            Prediction(
                item_id=item_key(metric, SALT, item.image),
                cluster=item.image,
                part="test",
                options=tuple(item.documents[i].document_id for i in best),
                scores=tuple(float(scores[i]) for i in best),
                predicted=0,
                correct=value,
                image=item.image,
                culture=item.culture,
                category=item.category,
            )
            for metric, value in values.items()
        ]
    return predictions


@dataclass(frozen=True)
class RaveneaBenchmark(Benchmark):
    """Pictures with graded documents; its items come from :func:`ask_ravenea`.

    CLIP reads the first 75 tokens of a document, about its first two sentences.
    """

    task: ClassVar[str] = "document_retrieval"

    items: Sequence[RaveneaItem] = ()

    @property
    def texts(self) -> list[str]:
        """Every document's text, once."""
        return list(dict.fromkeys(document.text for item in self.items for document in item.documents))

    @property
    def size(self) -> int:
        """Pictures."""
        return len(self.items)

    @property
    def concepts(self) -> set[str]:
        """Pictures, because nothing else is known of what they show."""
        return {item.image for item in self.items}

    @property
    def data_hash(self) -> str:
        """Digest of pictures, documents, grades and groups."""
        items = [
            (i.image, i.culture, i.category, sorted((d.document_id, d.text, d.grade) for d in i.documents))
            for i in self.items
        ]
        return digest(self.name, sorted(items))

    def answer(self, embeddings: Embeddings) -> list[Prediction]:
        """Rank every picture's documents."""
        cosines = [
            embeddings.texts[[embeddings.text_rows[document.text] for document in item.documents]]
            @ embeddings.images[embeddings.image_rows[item.image]]
            for item in self.items
        ]
        return answer_ravenea(self.items, cosines)

    def without(self, failed: Mapping[str, str]) -> Self:
        """Return the benchmark without these pictures."""
        return self._less("items", lambda item: [item.image], failed)


def _reason(item: RaveneaItem, *, repeated: bool) -> str:
    """Say why a picture's documents cannot be ranked; empty if they can."""
    grades = [document.grade for document in item.documents]
    if len(grades) < 2:
        return "fewer than two documents"
    if any(int(grade) != grade or abs(grade) > HIGHEST_GRADE for grade in grades):
        return "a grade is not an integer from -3 to 3"
    if max(grades) == -HIGHEST_GRADE:
        return "every document has the lowest grade"
    return "the same picture was asked about before" if repeated else ""


def _tied_groups(scores: np.ndarray) -> list[np.ndarray]:
    """Return the indices of the documents by falling score, those of equal score together."""
    order = np.argsort(-scores, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(scores[order])) + 1)


def _by_rank(scores: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the values in the order of the ranks; each tied document has the mean of its group."""
    return np.concatenate([np.full(len(group), values[group].mean()) for group in _tied_groups(scores)])


def build(declaration: Declaration, intake: Intake) -> Benchmark:
    """Ask RAVENEA. Columns: ``image``, ``documents``; ``region`` and ``category`` may be missing."""
    left_out, items = list(intake.left_out), []
    for row in intake.rows:
        image = row.image(IMAGE)
        documents = [d for d in row.values.get("documents") or () if isinstance(d, Document)]
        if image is None:
            left_out += without_image(row)
        elif not documents:
            left_out.append(Unposed(row.place, "its documents are not all there with a grade each"))
        else:
            items.append(
                RaveneaItem(
                    image=image,
                    documents=tuple(documents),
                    culture=text_of(row, "region"),
                    category=text_of(row, "category"),
                )
            )
    kept, unranked = ask_ravenea(items)
    pictures = intake.pictures.only({item.image for item in kept})
    return RaveneaBenchmark(declaration, pictures, kept, unposed=(*left_out, *unranked))


PROTOCOL = Protocol(
    question="Which documents tell most of the picture's culture?",
    benchmark=RaveneaBenchmark,
    build=build,
    columns=(IMAGE, "documents", "region", "category"),
    metrics=(*(f"{figure}@{k}" for figure in ("nDCG", "P") for k in (5, 3, 1)), f"ERR@{ERR_DEPTH}"),
)
