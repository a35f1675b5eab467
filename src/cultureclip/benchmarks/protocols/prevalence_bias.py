"""3XCM's prevalence bias (arXiv 2510.26861): among captions of all languages, does a picture find those of each?

A picture has captions in several languages. The captions of all pictures and languages are ranked by their cosine with
it.
Of each picture and language:

    R@k             chance that one of its captions in the language is among the first k, where its captions in other
                    languages, which are right too, are not ranked
    MRR             mean of one over the rank of the first of them, likewise
    first place     share of first places, among all captions of all pictures, that the language has

Tied captions come in random order, and each figure is its exact mean over these orders. The category is the language: a
model without bias has equal recalls, and shares of first places like the languages' shares of captions.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from cultureclip.benchmarks.protocols.benchmark import Benchmark, Declaration, Embeddings
from cultureclip.benchmarks.protocols.items import Prediction, Unposed, item_key, round_cosines
from cultureclip.benchmarks.protocols.protocol import Protocol
from cultureclip.benchmarks.protocols.shared_pictures import cluster_by_picture
from cultureclip.benchmarks.rows import IMAGE, Intake, complete_rows
from cultureclip.ids import digest

SALT = "prevalence-bias"
"""Part of every item's id; another salt would give the same items other ids."""
CUTOFFS = (1, 5, 10)
FIRST = "first place"
METRICS = (*(f"R@{k}" for k in CUTOFFS), "MRR", FIRST)


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """A picture with its captions in every language.

    Attributes:
        image: Key of the picture.
        captions: Language -> captions.
        cluster: Unit of resampling: the picture, with all that share a caption with it.
    """

    image: str
    captions: Mapping[str, tuple[str, ...]]
    cluster: str


def rank_credit(best: float, rivals: np.ndarray) -> dict[str, float]:
    """Return R@k and MRR of a caption among rivals.

    Args:
        best: Cosine of the caption.
        rivals: Cosines of all that it is ranked with, sorted.
    """
    above = len(rivals) - int(np.searchsorted(rivals, best, "right"))
    level = len(rivals) - above - int(np.searchsorted(rivals, best, "left")) + 1
    found = {f"R@{k}": float(np.clip((k - above) / level, 0, 1)) for k in CUTOFFS}
    return found | {"MRR": float(np.mean(1 / np.arange(above + 1, above + level + 1)))}


@dataclass(frozen=True)
class PrevalenceBiasBenchmark(Benchmark):
    """Pictures with captions in several languages."""

    task: ClassVar[str] = "multilingual_retrieval"

    items: Sequence[Spoken] = ()

    @property
    def texts(self) -> list[str]:
        """Every caption, once."""
        return list(dict.fromkeys(text for item in self.items for texts in item.captions.values() for text in texts))

    @property
    def size(self) -> int:
        """Number of pictures, each in every language that it has captions of."""
        return sum(len(item.captions) for item in self.items)

    @property
    def concepts(self) -> set[str]:
        """Pictures, because nothing else is known of what they show."""
        return {item.image for item in self.items}

    @property
    def data_hash(self) -> str:
        """Digest of pictures and captions."""
        return digest(self.name, sorted((item.image, sorted(item.captions.items())) for item in self.items))

    def answer(self, embeddings: Embeddings) -> list[Prediction]:
        """Return all figures of every picture and language."""
        texts = self.texts
        place = {text: row for row, text in enumerate(texts)}
        languages = _languages(self.items, place)
        words = embeddings.texts[[embeddings.text_rows[text] for text in texts]]
        predictions: list[Prediction] = []
        for item in self.items:
            cosines = round_cosines(words @ embeddings.images[embeddings.image_rows[item.image]])
            predictions += self._answer(item, cosines, place, languages)
        return predictions

    def _answer(
        self, item: Spoken, cosines: np.ndarray, place: Mapping[str, int], languages: Mapping[str, np.ndarray]
    ) -> Iterator[Prediction]:
        own = {language: [place[text] for text in texts] for language, texts in item.captions.items()}
        others = np.ones(len(cosines), bool)
        others[[row for rows in own.values() for row in rows]] = False
        rivals = np.sort(cosines[others])
        first = cosines == cosines.max()
        for language, rows in own.items():
            best = rows[int(np.argmax(cosines[rows]))]
            figures = rank_credit(float(cosines[best]), rivals)
            figures[FIRST] = float((first * languages[language]).sum() / first.sum())
            for metric, value in figures.items():
                yield Prediction(
                    item_id=item_key(metric, SALT, item.image, language),
                    cluster=item.cluster,
                    part="test",
                    options=(language,),
                    scores=(float(cosines[best]),),
                    predicted=0,
                    correct=value,
                    image=item.image,
                    category=language,
                )

    def without(self, failed: Mapping[str, str]) -> Self:
        """Return the benchmark without these pictures and the captions that only they have."""
        return self._less("items", lambda item: [item.image], failed)


def _languages(items: Sequence[Spoken], place: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Return each language's share in every caption: of one that several languages have, each has an equal share."""
    of: dict[int, set[str]] = {}
    for item in items:
        for language, texts in item.captions.items():
            for text in texts:
                of.setdefault(place[text], set()).add(language)
    shares = {language: np.zeros(len(place)) for item in items for language in item.captions}
    for row, names in of.items():
        for language in names:
            shares[language][row] = 1 / len(names)
    return shares


def build(declaration: Declaration, intake: Intake) -> Benchmark:
    """Ask for prevalence. Columns: ``image``, ``language``, ``captions``; one row per picture and language."""
    complete, left_out = complete_rows(intake, "language")
    captions: dict[str, dict[str, dict[str, None]]] = {}
    for row, image, (language,) in complete:
        given = row.values.get("captions")
        listed = given if isinstance(given, list) else [given]
        texts = [text.strip() for text in listed if isinstance(text, str) and text.strip()]
        if texts:
            captions.setdefault(image, {}).setdefault(language, {}).update(dict.fromkeys(texts))
        else:
            left_out.append(Unposed(row.place, "no captions"))
    clusters = cluster_by_picture(
        (text, image) for image, spoken in captions.items() for texts in spoken.values() for text in texts
    )
    items = tuple(
        Spoken(image=image, captions={name: tuple(texts) for name, texts in spoken.items()}, cluster=clusters[image])
        for image, spoken in captions.items()
    )
    return PrevalenceBiasBenchmark(declaration, intake.pictures.only(set(captions)), items, unposed=tuple(left_out))


PROTOCOL = Protocol(
    question="Among captions of all languages, does a picture find those of each?",
    benchmark=PrevalenceBiasBenchmark,
    build=build,
    columns=(IMAGE, "language", "captions"),
    lists=("captions",),
    metrics=METRICS,
)
