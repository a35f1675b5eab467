"""3XCM's association bias (arXiv 2510.26861): does a concept in a language fetch the thing, or the language's culture?

A text names a concept, in English or in the language of its country. Of three pictures one shows the concept in another
country, one another concept of the text's country, and one neither. The closest is the model's choice.

    right thing    share of texts whose choice shows the concept
    own culture    share whose choice shows another thing of the text's country: association instead of meaning
    neither        share of the third

The three add up to one; a tie shares the credit. ``, native`` needs a multilingual text tower; ``, english`` is the
same concept in English.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from cultureclip.benchmarks.protocols.benchmark import Benchmark, Declaration, Embeddings
from cultureclip.benchmarks.protocols.items import Prediction, Unposed, item_key, named_concept, round_cosines
from cultureclip.benchmarks.protocols.protocol import Protocol
from cultureclip.benchmarks.rows import Intake, text_of
from cultureclip.ids import digest

SALT = "association-bias"
"""Part of every item's id; another salt would give the same items other ids."""
CANDIDATES = {"semantic": "semantically_relevant", "cultural": "culturally_relevant", "unrelated": "non_relevant"}
"""Column of a picture -> the owners' name of the candidate."""
SHARES = ("right thing", "own culture", "neither")
"""Metrics, in the order of the candidates."""
LANGUAGES = {"native": "concept_in_native", "english": "concept"}
"""End of a metric's name -> column of the text."""


@dataclass(frozen=True, kw_only=True)
class Association:
    """A concept in two languages, and three pictures.

    Attributes:
        texts: The concept, by the keys of ``LANGUAGES``.
        images: Keys of the pictures, in the order of ``CANDIDATES``.
        concept: The concept in English.
        region: Country of the text.
    """

    texts: Mapping[str, str]
    images: tuple[str, ...]
    concept: str
    region: str


@dataclass(frozen=True)
class AssociationBiasBenchmark(Benchmark):
    """Concepts with three pictures each."""

    task: ClassVar[str] = "image_selection"

    items: Sequence[Association] = ()

    @property
    def texts(self) -> list[str]:
        """Every concept in both languages, once."""
        return list(dict.fromkeys(text for item in self.items for text in item.texts.values()))

    @property
    def size(self) -> int:
        """Number of concepts with pictures."""
        return len(self.items)

    @property
    def concepts(self) -> set[str]:
        """The concepts."""
        return {named_concept(item.concept) for item in self.items}

    @property
    def data_hash(self) -> str:
        """Digest of texts, pictures and countries."""
        return digest(self.name, sorted((*sorted(i.texts.items()), i.images, i.region) for i in self.items))

    @property
    def chances(self) -> dict[str, float]:
        """One third, for every share."""
        return {f"{share}, {language}": 1 / 3 for share in SHARES for language in LANGUAGES}

    def answer(self, embeddings: Embeddings) -> list[Prediction]:
        """Return the three shares for both languages."""
        predictions = []
        rows = np.array([[embeddings.image_rows[key] for key in item.images] for item in self.items]).reshape(-1, 3)
        for language in LANGUAGES:
            words = embeddings.texts[[embeddings.text_rows[item.texts[language]] for item in self.items]]
            scores = round_cosines(np.einsum("nkd,nd->nk", embeddings.images[rows], words))
            best = scores == scores.max(axis=1, keepdims=True)
            credits = best / best.sum(axis=1, keepdims=True)
            for item, found, credit in zip(self.items, scores, credits, strict=True):
                for place, share in enumerate(SHARES):
                    predictions.append(_predict(f"{share}, {language}", item, found, float(credit[place])))
        return predictions

    def without(self, failed: Mapping[str, str]) -> Self:
        """Return the benchmark without the items that have an unreadable picture."""
        return self._less("items", lambda item: item.images, failed)


def _predict(metric: str, item: Association, scores: np.ndarray, credit: float) -> Prediction:
    return Prediction(
        item_id=item_key(metric, SALT, *item.texts.values(), *item.images, item.region),
        cluster=named_concept(item.concept),
        part="test",
        options=item.images,
        scores=tuple(map(float, scores)),
        predicted=int(np.argmax(scores)),
        correct=credit,
        image=item.images[0],
        culture=item.region,
    )


def build(declaration: Declaration, intake: Intake) -> Benchmark:
    """Ask for associations. Columns: the three pictures, ``concept``, ``concept_in_native``; optional ``region``."""
    left_out = list(intake.left_out)
    items: dict[tuple[str, ...], Association] = {}
    for row in intake.rows:
        images = [row.image(column) for column in CANDIDATES]
        texts = {language: text_of(row, column) for language, column in LANGUAGES.items()}
        keys = tuple(key for key in images if key)
        region = text_of(row, "region")
        reason = _reason(keys, texts, [c for c in CANDIDATES if c not in row.images])
        if reason == "" and (*texts.values(), *keys, region) in items:
            reason = "the same concept and pictures were asked about before"
        if reason:
            left_out.append(Unposed(row.place, reason))
        elif reason is not None:
            item = Association(texts=texts, images=keys, concept=texts["english"], region=region)
            items[*texts.values(), *keys, region] = item
    used = intake.pictures.only({key for item in items.values() for key in item.images})
    return AssociationBiasBenchmark(declaration, used, tuple(items.values()), unposed=tuple(left_out))


def _reason(keys: Sequence[str], texts: Mapping[str, str], absent: Sequence[str]) -> str | None:
    """Say why nothing can be asked; empty if it can, and None if the intake has given the reason."""
    if absent:
        return f"no {absent[0]}"
    if lacking := [language for language, text in texts.items() if not text]:
        return f"no {LANGUAGES[lacking[0]]}"
    if len(keys) < len(CANDIDATES):
        return None
    return "two of its pictures are the same" if len(set(keys)) < len(keys) else ""


PROTOCOL = Protocol(
    question="Does a concept in a language fetch the thing, or another thing of the language's country?",
    benchmark=AssociationBiasBenchmark,
    build=build,
    columns=(*CANDIDATES, "concept", "concept_in_native", "region"),
    pictures=tuple(CANDIDATES),
    metrics=tuple(f"{share}, {language}" for language in LANGUAGES for share in SHARES),
    names_concepts=True,
)
