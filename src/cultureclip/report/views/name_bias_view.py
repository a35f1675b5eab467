"""Name bias as a reader sees it: one block per benchmark, one line per group of questions, one figure per model."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cultureclip.scoring.groups import MIN_GROUP
from cultureclip.scoring.metrics import order_metrics
from cultureclip.scoring.models import BASE
from cultureclip.tables import NAME_GROUPS

LABELS = {
    "right only": "the right one only",
    "wrong only": "wrong ones only",
    "both": "the right one and wrong ones",
    "neither": "none",
}


@dataclass(frozen=True)
class NameFigure:
    """A model's accuracy on a group with its 95 % interval, and its difference to the base in points."""

    value: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float


@dataclass(frozen=True)
class NameLine:
    """A group of questions; ``figures`` are in the order of the block's models, None where one was not measured."""

    label: str
    n: int
    clusters: int
    figures: tuple[NameFigure | None, ...]

    @property
    def is_small(self) -> bool:
        """Whether there are too few items to conclude anything from."""
        return self.n < MIN_GROUP


@dataclass(frozen=True)
class NameBlock:
    """A benchmark's main metric on the test part."""

    title: str
    metric: str
    lines: tuple[NameLine, ...]


def build_name_bias(
    name_bias: pd.DataFrame, cards: Sequence[Mapping[str, Any]], models: Sequence[str]
) -> list[NameBlock]:
    """Return blocks of the test part, in the order of the benchmarks' cards.

    Args:
        name_bias: The table of name bias.
        cards: Benchmarks' cards.
        models: Names of the models that are shown, the base first.
    """
    rows = name_bias[name_bias["part"] == "test"]
    blocks = []
    for card in cards:
        of_benchmark = rows[rows["benchmark"] == card["name"]]
        metric = next(iter(order_metrics(of_benchmark["metric"])), "")
        of_metric = of_benchmark[of_benchmark["metric"] == metric]
        lines = tuple(
            _line(group, of_metric[of_metric["tuned_on"] == group], models)
            for group in NAME_GROUPS
            if (of_metric["tuned_on"] == group).any()
        )
        if lines:
            blocks.append(NameBlock(card["title"], metric, lines))
    return blocks


def _line(group: str, rows: pd.DataFrame, models: Sequence[str]) -> NameLine:
    by_model = {str(row["model"]): row for row in rows.to_dict("records")}
    base = by_model[BASE]
    figures = tuple(_figure(by_model[model]) if model in by_model else None for model in models)
    return NameLine(LABELS[group], int(base["n"]), int(base["clusters"]), figures)


def _figure(row: Mapping[Hashable, Any]) -> NameFigure:
    return NameFigure(
        float(row["value"]),
        float(row["ci_low"]),
        float(row["ci_high"]),
        *(100 * float(row[column]) for column in ("difference", "diff_low", "diff_high")),
    )
