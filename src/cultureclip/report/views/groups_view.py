"""Group scores as a reader sees them: for each benchmark and metric, every culture or category, base beside tuned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cultureclip.report.words import judge_interval
from cultureclip.scoring.groups import AXES, WorstGroup, find_worst
from cultureclip.scoring.metrics import order_metrics
from cultureclip.scoring.models import BASE


@dataclass(frozen=True)
class GroupLine:
    """A group's scores; ``low`` and ``high`` bound the difference of the two at 95 %."""

    group: str
    n: int
    clusters: int
    base: float
    value: float
    difference: float
    low: float
    high: float
    ranked: bool

    @property
    def verdict(self) -> str:
        """``above`` or ``below`` where the interval of the difference excludes zero, else ``unclear``."""
        return judge_interval(self.low, self.high)


@dataclass(frozen=True)
class GroupBlock:
    """One benchmark and metric over one axis; lines from the lowest score of the tuned model.

    ``is_main`` tells whether it is the benchmark's main metric.
    """

    title: str
    is_main: bool
    metric: str
    axis: str
    lines: tuple[GroupLine, ...]
    worst: WorstGroup | None
    worst_base: WorstGroup | None

    @property
    def plural(self) -> str:
        """Plural of the axis: cultures or categories."""
        return AXES[self.axis]

    @property
    def ranked(self) -> list[GroupLine]:
        """Groups with enough items to say something about."""
        return [line for line in self.lines if line.ranked]


def build_groups(group_scores: pd.DataFrame, cards: Sequence[Mapping[str, Any]], model: str) -> list[GroupBlock]:
    """Return blocks of the test part, in the order of the benchmarks' cards; none where ``model`` was not measured.

    Args:
        group_scores: The table of group scores.
        cards: Benchmarks' cards.
        model: The tuned model that is set beside the base.
    """
    rows = group_scores[(group_scores["part"] == "test") & group_scores["model"].isin((BASE, model))]
    blocks = []
    for card in cards:
        of_benchmark = rows[rows["benchmark"] == card["name"]]
        for number, metric in enumerate(order_metrics(of_benchmark["metric"])):
            of_metric = of_benchmark[of_benchmark["metric"] == metric]
            tuned, base = (of_metric[of_metric["model"] == name] for name in (model, BASE))
            for axis in AXES:
                lines = _lines(tuned[tuned["axis"] == axis], base[base["axis"] == axis])
                if len(lines) > 1:
                    worst = find_worst(tuned, axis), find_worst(base, axis)
                    blocks.append(GroupBlock(card["title"], number == 0, metric, axis, lines, *worst))
    return blocks


def _lines(tuned: pd.DataFrame, base: pd.DataFrame) -> tuple[GroupLine, ...]:
    values = base.set_index("group")["value"]
    ordered = tuned.sort_values(["value", "group"])
    return tuple(
        GroupLine(
            str(row["group"]),
            int(row["n"]),
            int(row["clusters"]),
            float(values[row["group"]]),
            float(row["value"]),
            float(row["difference"]),
            float(row["diff_low"]),
            float(row["diff_high"]),
            not pd.isna(row["rank"]),
        )
        for row in ordered.to_dict("records")
    )
