"""General ability lost, benchmark by benchmark and metric by metric, and by category where the questions have any."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cultureclip.report.rule import Change
from cultureclip.report.words import in_words
from cultureclip.scoring.groups import AXES, macro_metric
from cultureclip.scoring.metrics import order_metrics
from cultureclip.scoring.models import BASE

CATEGORY = "category"


@dataclass(frozen=True)
class ForgottenLine:
    """One metric, or one category by the main metric.

    Attributes:
        label: Metric or category.
        is_category: Whether it is a category.
        is_small: Whether the category has too few items to be ranked.
        n: Items.
        clusters: Concepts.
        base: The base's score.
        changes: Change of each model against the base, in points; None where it was not measured.
    """

    label: str
    is_category: bool
    is_small: bool
    n: int
    clusters: int
    base: float
    changes: tuple[Change | None, ...]


@dataclass(frozen=True)
class ForgottenBlock:
    """A benchmark of general ability."""

    title: str
    lines: tuple[ForgottenLine, ...]

    @property
    def categories(self) -> int:
        """Number of lines that are categories."""
        return sum(line.is_category for line in self.lines)


def build_forgetting(
    scores: pd.DataFrame,
    group_scores: pd.DataFrame,
    cards: Sequence[Mapping[str, Any]],
    general: Collection[str],
    models: Sequence[str],
) -> list[ForgottenBlock]:
    """Build a block per general benchmark, of the test part; none where no model was measured.

    Args:
        scores: The scores table.
        group_scores: The table of group scores.
        cards: Cards of the benchmarks, in the order of the blocks.
        general: Names of the general benchmarks.
        models: The models whose changes are shown.
    """
    own = scores[(scores["part"] == "test") & ((scores["reference"] == BASE) | (scores["model"] == BASE))]
    groups = group_scores[(group_scores["part"] == "test") & (group_scores["axis"] == CATEGORY)]
    blocks = []
    for card in (card for card in cards if card["name"] in general):
        of_card = own[own["benchmark"] == card["name"]]
        macros = {macro_metric(metric, axis) for metric in of_card["metric"] for axis in AXES}
        metrics = [metric for metric in order_metrics(of_card["metric"]) if metric not in macros]
        lines = [_line(of_card[of_card["metric"] == metric], in_words(metric), models) for metric in metrics]
        if metrics:
            main = groups[(groups["benchmark"] == card["name"]) & (groups["metric"] == metrics[0])]
            found = [
                _line(rows, str(name), models, is_category=True) for name, rows in main.groupby("group", sort=True)
            ]
            lines += sorted(found, key=_loss) if len(found) > 1 else []
        if any(change for line in lines for change in line.changes):
            blocks.append(ForgottenBlock(card["title"], tuple(lines)))
    return blocks


def _line(rows: pd.DataFrame, label: str, models: Sequence[str], *, is_category: bool = False) -> ForgottenLine:
    by_model = {str(row["model"]): row for row in rows.to_dict("records")}
    base = by_model[BASE]
    return ForgottenLine(
        label,
        is_category,
        is_category and bool(pd.isna(base["rank"])),
        int(base["n"]),
        int(base["clusters"]),
        float(base["value"]),
        tuple(_change(by_model.get(model), float(base["value"])) for model in models),
    )


def _change(row: Mapping[Any, Any] | None, base: float) -> Change | None:
    if row is None or pd.isna(row["difference"]):
        return None
    ends = (100 * float(row[name]) for name in ("difference", "diff_low", "diff_high"))
    return Change(base, float(row["value"]), *ends)


def _loss(line: ForgottenLine) -> tuple[float, str]:
    """Order categories by the last model's change, the largest loss first."""
    known = [change.change for change in line.changes if change]
    return (known[-1] if known else 0.0), line.label
