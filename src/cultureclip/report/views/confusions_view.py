"""Confusions as a reader sees them: what was asked, what it was taken for, and pictures of both."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from cultureclip.benchmarks.protocols.items import metric_of
from cultureclip.report.thumbnails import data_uri
from cultureclip.scoring.confusions import BROKEN, FIXED, Confusion, read_confusions
from cultureclip.scoring.metrics import order_metrics

SHOWN = 12
"""Confusions shown of each benchmark and kind, the most frequent first."""
PICTURES = 2
"""Pictures asked about that are shown of each."""


@dataclass(frozen=True)
class PicturedConfusion:
    """A confusion and its pictures.

    Attributes:
        found: The confusion.
        shared: How both options begin, in whole words.
        right: The rest of the right option.
        wrong: The rest of the wrong one.
        asked: The pictures that were asked about.
        mistaken: A picture of the wrong option; None where the benchmark has none.
    """

    found: Confusion
    shared: str
    right: str
    wrong: str
    asked: tuple[Markup, ...]
    mistaken: Markup | None


@dataclass(frozen=True)
class ConfusionList:
    """Confusions of one kind; ``total`` counts those not shown, too."""

    shown: tuple[PicturedConfusion, ...]
    total: int


@dataclass(frozen=True)
class ConfusionBlock:
    """Confusions of one benchmark: only the base's, which tuning fixed, and only the tuned model's."""

    title: str
    question: str
    metric: str
    fixed: ConfusionList
    broken: ConfusionList


def build_confusions(
    confusions: pd.DataFrame,
    predictions: pd.DataFrame,
    cards: Sequence[Mapping[str, Any]],
    thumbnails: Mapping[str, bytes],
    model: str,
) -> list[ConfusionBlock]:
    """Return blocks of the test part, in the order of the benchmarks' cards; none for a benchmark without confusions.

    Only a benchmark's main metric counts: others often ask the same questions another way, and would count them twice.

    Args:
        confusions: The table of confusions.
        predictions: The predictions table: pictures of wrong options are looked up in it.
        cards: Benchmarks' cards.
        thumbnails: JPEG files of held-out pictures by the key that tables name them by.
        model: The tuned model that is compared with the base.
    """
    blocks = []
    for found in _find_confusions(confusions, predictions, cards, model):
        lists = (
            ConfusionList(
                tuple(_picture(one, found.looks, thumbnails) for one in found.by_kind[kind][:SHOWN]),
                len(found.by_kind[kind]),
            )
            for kind in (FIXED, BROKEN)
        )
        blocks.append(ConfusionBlock(found.card["title"], found.card["question"], found.metric, *lists))
    return blocks


def find_pictures(confusions: pd.DataFrame, predictions: pd.DataFrame, cards: Sequence[Mapping[str, Any]]) -> set[str]:
    """Find the keys of all pictures that :func:`build_confusions` could show, whichever model it is about."""
    keys: set[str] = set()
    for model in confusions["model"].unique():
        for found in _find_confusions(confusions, predictions, cards, model):
            for one in (one for kind in (FIXED, BROKEN) for one in found.by_kind[kind][:SHOWN]):
                keys |= {*one.images, found.looks.get(one.wrong, "")}
    return keys - {""}


@dataclass(frozen=True)
class _Found:
    """Confusions of one benchmark's main metric, and what its options look like (text -> key of a picture)."""

    card: Mapping[str, Any]
    metric: str
    by_kind: Mapping[str, list[Confusion]]
    looks: Mapping[str, str]


def _find_confusions(
    confusions: pd.DataFrame, predictions: pd.DataFrame, cards: Sequence[Mapping[str, Any]], model: str
) -> Iterator[_Found]:
    found = {kind: read_confusions(confusions, model, "test", kind) for kind in (FIXED, BROKEN)}
    for card in cards:
        name = card["name"]
        answers = predictions[predictions["benchmark"] == name]
        metric = next(iter(order_metrics(answers["item_id"].map(metric_of))), "")
        here = {
            kind: [one for one in of_kind if (one.benchmark, one.metric) == (name, metric)]
            for kind, of_kind in found.items()
        }
        if any(here.values()):
            yield _Found(card, metric, here, _looks(answers))


def split_shared(first: str, second: str) -> tuple[str, str, str]:
    """Return the words with which both texts begin, and what is left of each: never nothing."""
    words = first.split(), second.split()
    limit = min(map(len, words)) - 1
    same = next((i for i in range(limit) if words[0][i] != words[1][i]), max(limit, 0))
    return " ".join(words[0][:same]), " ".join(words[0][same:]), " ".join(words[1][same:])


def _looks(predictions: pd.DataFrame) -> dict[str, str]:
    """Text -> key of a picture that it is right about.

    Confusions are of questions whose right option is the first; the others of the benchmark are looked at, too.
    """
    asked = predictions[predictions["image"] != ""].drop_duplicates("item_id")
    return {options[0]: image for options, image in zip(asked["options"], asked["image"], strict=True)}


def _picture(found: Confusion, looks: Mapping[str, str], thumbnails: Mapping[str, bytes]) -> PicturedConfusion:
    asked = [key for key in dict.fromkeys(found.images) if key in thumbnails]
    mistaken = thumbnails.get(looks.get(found.wrong, ""))
    return PicturedConfusion(
        found,
        *split_shared(found.right, found.wrong),
        tuple(data_uri(thumbnails[key]) for key in asked[:PICTURES]),
        None if mistaken is None else data_uri(mistaken),
    )
