"""Scores of parts of a benchmark: each culture and each category, the macro average over them, and the worst."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cultureclip.statistics import ClusteredItems, Difference

AXES = {"culture": "cultures", "category": "categories"}
"""Fields that items are grouped by, each with its plural for readers."""

MIN_GROUP = 10
"""Items below which a group is shown but not ranked: of many small groups one is always at zero."""


@dataclass(frozen=True)
class WorstGroup:
    """The group with a model's lowest score, among those large enough to rank.

    The smallest of several noisy values is on average below the group's true value: read it with its interval.

    Attributes:
        axis: ``culture`` or ``category``.
        group: Name of the group.
        value: Mean credit.
        low: Lower end of the 95 % interval.
        high: Upper end.
        n: Items.
        ranked: Number of groups ranked.
        unranked: Number of groups too small to rank.
    """

    axis: str
    group: str
    value: float
    low: float
    high: float
    n: int
    ranked: int
    unranked: int


def macro_metric(metric: str, axis: str) -> str:
    """Return the name of the metric in which each group of an axis counts the same."""
    return f"{metric}, mean over {AXES[axis]}"


def macro_weights(groups: pd.Series) -> np.ndarray | None:
    """Return the item weights that make the items' mean the macro average over groups.

    Args:
        groups: The group of each item.

    Returns:
        One over the size of the item's group, [items]; None if there are fewer than two groups.
    """
    return None if groups.nunique() < 2 else 1 / groups.map(groups.value_counts()).to_numpy(float)


def score_groups(
    items: pd.DataFrame, values: Mapping[str, np.ndarray], reference: str, minimum: int
) -> Iterator[dict[str, Any]]:
    """Yield rows of the table of group scores for one benchmark, metric and part, without these three columns.

    Args:
        items: One row per item with ``cluster``, ``culture`` and ``category``.
        values: Model -> its credit, in the order of ``items``.
        reference: The model that differences are taken to.
        minimum: Items below which a group is not ranked.
    """
    for axis in AXES:
        names = items[axis].to_numpy()
        rows: list[dict[str, Any]] = []
        for group in sorted({name for name in names if name}):
            inside = names == group
            sample = ClusteredItems(items["cluster"].to_numpy()[inside])
            rows += [
                {"axis": axis, "group": group, "model": model, "n": int(inside.sum()), "clusters": sample.count}
                | score_group(sample, own[inside], None if model == reference else values[reference][inside])
                for model, own in values.items()
            ]
        yield from _rank(rows, minimum)


def score_group(sample: ClusteredItems, own: np.ndarray, reference: np.ndarray | None) -> dict[str, Any]:
    """Return the value and difference of one group with their intervals, as columns of a table.

    Args:
        sample: The group's items.
        own: The model's credit on them, [items].
        reference: Of the model that the difference is taken to; None where that is the model itself.
    """
    estimate = sample.estimate_mean(own)
    difference = Difference(np.nan, np.nan, np.nan) if reference is None else sample.estimate_difference(own, reference)
    return {
        "value": estimate.value,
        "ci_low": estimate.low,
        "ci_high": estimate.high,
        "difference": difference.value,
        "diff_low": difference.low,
        "diff_high": difference.high,
    }


def find_worst(group_scores: pd.DataFrame, axis: str) -> WorstGroup | None:
    """Return the worst group of one axis.

    Args:
        group_scores: Rows of one benchmark, metric, part and model.
        axis: ``culture`` or ``category``.

    Returns:
        None if no group is large enough, or there is only one.
    """
    rows = group_scores[group_scores["axis"] == axis]
    ranked = rows.dropna(subset=["rank"]).sort_values("rank")
    if len(ranked) < 2:
        return None
    worst = ranked.iloc[0]
    return WorstGroup(
        axis,
        str(worst["group"]),
        float(worst["value"]),
        float(worst["ci_low"]),
        float(worst["ci_high"]),
        int(worst["n"]),
        len(ranked),
        len(rows) - len(ranked),
    )


def _rank(rows: list[dict[str, Any]], minimum: int) -> Iterator[dict[str, Any]]:
    """Yield the rows with ranks within each model, 1 for the least value; ties by name; None below the minimum."""
    order = sorted((r for r in rows if r["n"] >= minimum), key=lambda r: (r["model"], r["value"], r["group"]))
    places: dict[tuple[str, str], int] = {}
    counts: dict[str, int] = {}
    for row in order:
        counts[row["model"]] = places[row["model"], row["group"]] = counts.get(row["model"], 0) + 1
    for row in rows:
        yield row | {"rank": places.get((row["model"], row["group"]))}
