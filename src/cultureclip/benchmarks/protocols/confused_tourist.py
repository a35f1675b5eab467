"""Stacked cues after ConfusedTourist (arXiv 2511.17004): does a flag beside a dish mislead?

ConfusedTourist asks vision-language models about an item (a dish, a garment, an instrument) with a cue of another
country stacked onto its picture: a flag or a landmark. For CLIP each is a zero-shot classification, of the clean
picture and of the stacked one, among all countries and among all items of the benchmark:

    country clean, item clean    share of pictures whose own country, item is closest; asked once per picture
    country cued, item cued      the same with the cue above the item
    moved to cue                 share whose answer is the cue's country only with the cue: lower is better

Tied answers share the credit, and other right answers for a picture are not offered. Nothing is asked if only one item
is left to offer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from cultureclip.benchmarks.composed import Composed
from cultureclip.benchmarks.decoded import decode_once
from cultureclip.benchmarks.pictures import LazyPictures
from cultureclip.benchmarks.protocols.benchmark import Benchmark, Declaration, Embeddings
from cultureclip.benchmarks.protocols.items import Prediction, Unposed, item_key, named_concept, round_cosines
from cultureclip.benchmarks.protocols.protocol import Protocol
from cultureclip.benchmarks.protocols.ranking import shown_options, top_k_credit
from cultureclip.benchmarks.protocols.shared_pictures import cluster_by_picture, hide_also_right, right_answers
from cultureclip.benchmarks.rows import IMAGE, Intake, complete_rows, text_of
from cultureclip.ids import digest
from cultureclip.reading.pictures import ImageError

SALT = "confused-tourist"
"""Part of every item's id; another salt would give the same items other ids."""
COUNTRY = "The item in the picture is from {}"
ITEM = "The item in the picture is {}"
MOVED = "moved to cue"
METRICS = ("country cued", "country clean", MOVED, "item cued", "item clean")


@dataclass(frozen=True, kw_only=True)
class CuedItem:
    """A picture of an item, and the same below a cue.

    Attributes:
        clean: Key of the item's picture.
        cued: Key of the stacked picture.
        name: The item.
        region: Its country.
        cue_region: The cue's country.
        category: Kind of thing, where there is one.
        cluster: Unit of resampling for its predictions.
    """

    clean: str
    cued: str
    name: str
    region: str
    cue_region: str
    category: str = ""
    cluster: str = ""


def answer_cued(
    items: Sequence[CuedItem], clean: np.ndarray, cued: np.ndarray, texts: Mapping[str, np.ndarray]
) -> list[Prediction]:
    """Return the predictions of all five metrics.

    Args:
        items: The items.
        clean: L2-normalised embeddings of the items' pictures, [items, D].
        cued: L2-normalised embeddings of the stacked pictures, [items, D].
        texts: Text -> its L2-normalised embedding, [D]; see :meth:`ConfusedTouristBenchmark.texts`.

    Raises:
        WeightsError: if a cosine is not finite.
    """
    predictions: dict[str, Prediction] = {}
    for kind, template, of in (("country", COUNTRY, "region"), ("item", ITEM, "name")):
        answers = _answers(items, of)
        vectors = np.stack([texts[template.format(answer)] for answer in answers])
        column = {answer: i for i, answer in enumerate(answers)}
        right = np.array([column[getattr(item, of)] for item in items])
        labels = right_answers((item.clean, column[getattr(item, of)]) for item in items)
        also_right = [labels[item.clean] for item in items]
        scores = {
            way: hide_also_right(round_cosines(pictures @ vectors.T), right, also_right)
            for way, pictures in (("clean", clean), ("cued", cued))
        }
        for way, found in scores.items():
            credit = top_k_credit(found, right, 1)
            for row, item in enumerate(items):
                asked = _predict(f"{kind} {way}", item, answers, found[row], int(right[row]), float(credit[row]))
                predictions.setdefault(asked.item_id, asked)
        if kind == "country":
            cue = np.array([column[item.cue_region] for item in items])
            chosen = {way: top_k_credit(found, cue, 1) for way, found in scores.items()}
            moved = chosen["cued"] * (1 - chosen["clean"])
            for row, item in enumerate(items):
                asked = _predict(MOVED, item, answers, scores["cued"][row], int(cue[row]), float(moved[row]))
                predictions.setdefault(asked.item_id, asked)
    return [prediction for prediction in predictions.values() if len(prediction.options) > 1]


@dataclass(frozen=True)
class ConfusedTouristBenchmark(Benchmark):
    """Items with their cues."""

    task: ClassVar[str] = "zeroshot_classification_with_cues"

    items: Sequence[CuedItem] = ()

    @property
    def texts(self) -> list[str]:
        """Every country and every item."""
        countries, names = (_answers(self.items, of) for of in ("region", "name"))
        return [*map(COUNTRY.format, countries), *map(ITEM.format, names)]

    @property
    def size(self) -> int:
        """Number of stacked pictures."""
        return len(self.items)

    @property
    def concepts(self) -> set[str]:
        """Names of the items."""
        return {named_concept(item.name) for item in self.items}

    @property
    def data_hash(self) -> str:
        """Digest of pictures, names, countries and categories."""
        return digest(
            self.name, sorted((i.clean, i.cued, i.name, i.region, i.cue_region, i.category) for i in self.items)
        )

    def answer(self, embeddings: Embeddings) -> list[Prediction]:
        """Return all five metrics."""
        if not self.items:
            return []
        clean, cued = (
            embeddings.images[[embeddings.image_rows[getattr(item, side)] for item in self.items]]
            for side in ("clean", "cued")
        )
        return answer_cued(self.items, clean, cued, {t: embeddings.texts[embeddings.text_rows[t]] for t in self.texts})

    def without(self, failed: Mapping[str, str]) -> Self:
        """Return the benchmark without the items that have an unreadable picture."""
        return self._less("items", lambda item: [item.clean, item.cued], failed)


def _answers(items: Sequence[CuedItem], of: str) -> list[str]:
    """Return all countries, cue countries included, or all names; sorted."""
    cues = {item.cue_region for item in items} if of == "region" else set()
    return sorted({getattr(item, of) for item in items} | cues)


def _predict(
    metric: str, item: CuedItem, answers: Sequence[str], scores: np.ndarray, first: int, credit: float
) -> Prediction:
    """Return a prediction; its first option earns the credit. A clean picture's prediction has one id for all cues."""
    asked = [item.clean] if metric.endswith("clean") else [item.clean, item.cued, item.cue_region]
    shown = shown_options(scores, first)
    return Prediction(
        item_id=item_key(metric, SALT, *asked, item.name, item.region),
        cluster=item.cluster,
        part="test",
        options=tuple(answers[column] for column in shown),
        scores=tuple(float(scores[column]) for column in shown),
        predicted=int(np.argmax(scores[shown])),
        correct=credit,
        image=asked[1] if len(asked) > 1 else item.clean,
        culture=item.region,
        category=item.category,
    )


def build(declaration: Declaration, intake: Intake) -> Benchmark:
    """Stack the pictures. Columns: ``image``, ``cue``, ``name``, ``region``, ``cue_region``; optional ``category``."""
    complete, left_out = complete_rows(intake, "name", "region", "cue_region")
    right = right_answers((image, region) for _, image, (_, region, _) in complete)
    stored = dict(intake.pictures.stored)
    posed: list[tuple[str, Composed, CuedItem]] = []
    for row, clean, (name, region, cue_region) in complete:
        cue = row.image("cue")
        if cue is None:
            left_out += [] if "cue" in row.images else [Unposed(row.place, "no cue")]
            continue
        if cue_region in right[clean]:
            left_out.append(Unposed(row.place, "the cue's country is right for the picture"))
            continue
        where = Composed(intake.pictures.stored[cue].where, intake.pictures.stored[clean].where)
        kind = text_of(row, "category")
        item = CuedItem(clean=clean, cued="", name=name, region=region, cue_region=cue_region, category=kind)
        posed.append((row.place, where, item))
    stacked = decode_once({where for _, where, _ in posed}, intake.pictures.kept)
    items: dict[CuedItem, None] = {}
    for place, where, bare in posed:
        found = stacked[where]
        if isinstance(found, ImageError):
            left_out.append(Unposed(place, str(found)))
            continue
        stored[found.key] = found.at(where)
        item = replace(bare, cued=found.key)
        if item in items:
            left_out.append(Unposed(place, "the same item and cue were asked about before"))
        items[item] = None
    clusters = cluster_by_picture((item.clean, named_concept(item.name)) for item in items)
    asked = tuple(replace(item, cluster=clusters[named_concept(item.name)]) for item in items)
    pictures = LazyPictures(stored, intake.pictures.kept).only(
        {key for item in asked for key in (item.clean, item.cued)}
    )
    return ConfusedTouristBenchmark(declaration, pictures, asked, unposed=tuple(left_out))


PROTOCOL = Protocol(
    question="Does a cue of another country, stacked above an item, move the answer?",
    benchmark=ConfusedTouristBenchmark,
    build=build,
    columns=(IMAGE, "cue", "name", "region", "cue_region", "category"),
    pictures=(IMAGE, "cue"),
    metrics=METRICS,
    names_concepts=True,
)
