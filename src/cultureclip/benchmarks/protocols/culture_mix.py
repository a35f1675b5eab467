"""CultureMix (arXiv 2511.22787) for a CLIP: which dish, of which country, beside another dish or on another background?

The benchmark asks vision-language models about generated pictures of one or two dishes, without and with a background.
For CLIP each is a zero-shot classification among all countries and all dishes of the file.

    country, item          share of pictures whose country, dish is closest; of a tie each has a share
    moved to background    share whose closest country is the background's: lower is better
    uncertainty            entropy of the softmax of 100 x cosines over the countries, divided by its largest value

The other dish of a picture is right as well and is not offered. The category is the task, so the scores of the four
tasks stand side by side. All pictures of a dish are one cluster; dishes that share a picture stay apart, because mixed
dishes would link nearly all.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from scipy.special import log_softmax

from cultureclip.benchmarks.protocols.benchmark import Benchmark, Declaration, Embeddings
from cultureclip.benchmarks.protocols.confused_tourist import COUNTRY, ITEM
from cultureclip.benchmarks.protocols.items import Prediction, Unposed, item_key, named_concept, round_cosines
from cultureclip.benchmarks.protocols.protocol import Protocol
from cultureclip.benchmarks.protocols.ranking import shown_options, top_k_credit
from cultureclip.benchmarks.protocols.shared_pictures import hide_also_right
from cultureclip.benchmarks.rows import IMAGE, Intake, complete_rows, text_of
from cultureclip.ids import digest

SALT = "culture-mix"
"""Part of every item's id; another salt would give the same items other ids."""
MOVED, UNCERTAINTY = "moved to background", "uncertainty"
METRICS = ("country", "item", MOVED, UNCERTAINTY)
SCALE = 100
"""Factor of cosines before the softmax, near that of CLIP's releases, and the same for every model."""


@dataclass(frozen=True, kw_only=True)
class MixedItem:
    """A picture of a dish.

    Attributes:
        image: Key of the picture.
        name: The dish.
        region: Its country.
        other_name: Another dish in the picture; may be empty.
        other_region: Its country; may be empty.
        background_region: Country of the background; may be empty.
        task: The owner's name of the task.
        cluster: Unit of resampling: the dish.
    """

    image: str
    name: str
    region: str
    other_name: str = ""
    other_region: str = ""
    background_region: str = ""
    task: str = ""
    cluster: str = ""


@dataclass(frozen=True)
class CultureMixBenchmark(Benchmark):
    """Pictures of dishes."""

    task: ClassVar[str] = "zeroshot_classification_with_backgrounds"

    items: Sequence[MixedItem] = ()

    @property
    def texts(self) -> list[str]:
        """Every country and every dish."""
        return [*map(COUNTRY.format, self.countries), *map(ITEM.format, self.dishes)]

    @property
    def countries(self) -> list[str]:
        """All countries: of dishes and of backgrounds."""
        return sorted({c for i in self.items for c in (i.region, i.other_region, i.background_region) if c})

    @property
    def dishes(self) -> list[str]:
        """All dishes."""
        return sorted({name for item in self.items for name in (item.name, item.other_name) if name})

    @property
    def size(self) -> int:
        """Number of pictures, each with a dish."""
        return len(self.items)

    @property
    def concepts(self) -> set[str]:
        """The dishes."""
        return {named_concept(item.name) for item in self.items}

    @property
    def data_hash(self) -> str:
        """Digest of pictures and all that is known of them."""
        return digest(self.name, sorted(tuple(vars(item).values()) for item in self.items))

    def answer(self, embeddings: Embeddings) -> list[Prediction]:
        """Return all four figures."""
        if not self.items:
            return []
        images = embeddings.images[[embeddings.image_rows[item.image] for item in self.items]]
        of_countries, of_dishes = (
            round_cosines(images @ embeddings.texts[[embeddings.text_rows[form.format(a)] for a in answers]].T)
            for form, answers in ((COUNTRY, self.countries), (ITEM, self.dishes))
        )
        return [*self._countries(of_countries), *self._dishes(of_dishes)]

    def _countries(self, cosines: np.ndarray) -> Iterator[Prediction]:
        column = {country: place for place, country in enumerate(self.countries)}
        right = np.array([column[item.region] for item in self.items])
        also = [[column[item.other_region]] if item.other_region else [] for item in self.items]
        scores = hide_also_right(cosines, right, also)
        yield from self._rank("country", self.countries, scores, right)
        entropy = _entropy(SCALE * scores)
        for row, item in enumerate(self.items):
            yield self._predict(UNCERTAINTY, item, self.countries, scores[row], int(right[row]), float(entropy[row]))
            if item.background_region not in ("", item.region, item.other_region):
                place = np.array([column[item.background_region]])
                credit = float(top_k_credit(scores[row : row + 1], place, 1)[0])
                yield self._predict(MOVED, item, self.countries, scores[row], int(place[0]), credit)

    def _dishes(self, cosines: np.ndarray) -> Iterator[Prediction]:
        column = {dish: place for place, dish in enumerate(self.dishes)}
        right = np.array([column[item.name] for item in self.items])
        also = [[column[item.other_name]] if item.other_name else [] for item in self.items]
        yield from self._rank("item", self.dishes, hide_also_right(cosines, right, also), right)

    def _rank(self, metric: str, answers: Sequence[str], scores: np.ndarray, right: np.ndarray) -> Iterator[Prediction]:
        for row, credit in enumerate(top_k_credit(scores, right, 1)):
            yield self._predict(metric, self.items[row], answers, scores[row], int(right[row]), float(credit))

    def _predict(
        self, metric: str, item: MixedItem, answers: Sequence[str], scores: np.ndarray, first: int, credit: float
    ) -> Prediction:
        shown = shown_options(scores, first)
        return Prediction(
            item_id=item_key(metric, SALT, item.image, item.name, item.region),
            cluster=item.cluster,
            part="test",
            options=tuple(answers[column] for column in shown),
            scores=tuple(float(scores[column]) for column in shown),
            predicted=int(np.argmax(scores[shown])),
            correct=credit,
            image=item.image,
            culture=item.region,
            category=item.task,
        )

    def without(self, failed: Mapping[str, str]) -> Self:
        """Return the benchmark without the items about these pictures."""
        return self._less("items", lambda item: [item.image], failed)


def _entropy(logits: np.ndarray) -> np.ndarray:
    """Return the entropy of the softmax of each row over that of equal chances, in [0, 1]; minus infinity is no option.

    Args:
        logits: [rows, options]; a row with one option has entropy 0.
    """
    logs = log_softmax(logits, axis=1)
    terms = np.where(np.isneginf(logs), 0, np.exp(logs) * np.where(np.isneginf(logs), 0, logs))
    options = np.isfinite(logits).sum(axis=1)
    entropy: np.ndarray = np.clip(-terms.sum(axis=1) / np.log(np.maximum(options, 2)), 0, 1)
    return entropy


def build(declaration: Declaration, intake: Intake) -> Benchmark:
    """Ask CultureMix. Columns: ``image``, ``name``, ``region``; optional ``other_name``, ``other_region``.

    Also optional: ``background_region``, ``task``.
    """
    complete, left_out = complete_rows(intake, "name", "region")
    items: dict[tuple[str, str], MixedItem] = {}
    for row, image, (name, region) in complete:
        if (image, name) in items:
            left_out.append(Unposed(row.place, "the same picture and dish were asked about before"))
            continue
        items[image, name] = MixedItem(
            image=image,
            name=name,
            region=region,
            other_name=text_of(row, "other_name"),
            other_region=text_of(row, "other_region"),
            background_region=text_of(row, "background_region"),
            task=text_of(row, "task"),
            cluster=named_concept(name),
        )
    kept = tuple(items.values())
    if len({item.region for item in kept}) < 2 or len({item.name for item in kept}) < 2:
        left_out += [Unposed(f"{item.name}, {item.region}", "fewer than two countries or dishes") for item in kept]
        kept = ()
    used = intake.pictures.only({item.image for item in kept})
    return CultureMixBenchmark(declaration, used, kept, unposed=tuple(left_out))


PROTOCOL = Protocol(
    question="Which dish, of which country, beside another dish or on another background?",
    benchmark=CultureMixBenchmark,
    build=build,
    columns=(IMAGE, "name", "region", "other_name", "other_region", "background_region", "task"),
    metrics=METRICS,
    names_concepts=True,
)
