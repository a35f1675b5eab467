"""Ranks of a leaderboard's lines, from the predictions that lie beside our results."""

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from cultureclip.benchmarks.protocols.items import metric_of
from cultureclip.errors import SourceDataError
from cultureclip.report.exports.leaderboard import Column, Row
from cultureclip.report.exports.results import PART, PREDICTIONS_FILE, exported_names
from cultureclip.scoring.groups import AXES, macro_metric
from cultureclip.scoring.models import ModelName
from cultureclip.scoring.ranks import RankedItems, RankSet, rank_models

_COLUMNS = ("benchmark", "model", "item_id", "part", "cluster", "correct", *AXES)
_ROUNDING = 1e-9

logger = logging.getLogger(__name__)


def rank_rows(rows: Sequence[Row], metrics: Collection[str]) -> list[RankSet | None]:
    """Return the confidence set of each line's rank; None for a line without items that another line has, too.

    Two lines are compared by the mean over the shown columns that both have items of, over the items that both have.

    Args:
        rows: The lines.
        metrics: Names of the metrics that are shown, all where there are none.

    Raises:
        SourceDataError: if a file of predictions cannot be read.
    """
    read = cache(_read)  # lines of one folder share its predictions
    answers = [_answers_of(row, metrics, read) for row in rows]
    items = pd.concat(answers).drop_duplicates("key") if rows else pd.DataFrame()
    if items.empty:
        return [None] * len(rows)
    items = items.set_index("key")
    credit = pd.DataFrame({n: a.set_index("key")["credit"] for n, a in enumerate(answers)}).loc[items.index]
    asked = RankedItems(
        credit.to_numpy(float),
        items["cluster"].to_numpy(str),
        items["column"].to_numpy(str),
        items["weight"].to_numpy(float),
    )
    return rank_models(asked)


def _answers_of(row: Row, metrics: Collection[str], read: Callable[[Path], pd.DataFrame]) -> pd.DataFrame:
    """Return key, column, cluster, weight and credit of a line's items; those of the columns that have any."""
    found = [
        items.assign(column=repr(column), key=repr(column) + items["item_id"])
        for column in row.cells
        if not metrics or column.metric in metrics
        for items in _answers_in(row, column, read)
    ]
    empty = pd.DataFrame(columns=["key", "column", "cluster", "weight", "credit"])
    return pd.concat([empty, *found]) if found else empty


def _answers_in(row: Row, column: Column, read: Callable[[Path], pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Yield a line's answers in one column, where they are there and give its value."""
    origin = row.origins.get(column)
    if origin is None or not (origin.folder / PREDICTIONS_FILE).exists():
        return
    table = read(origin.folder / PREDICTIONS_FILE)
    internal = {shown: metric for metric, shown in exported_names(origin.task).items()}.get(
        column.metric, column.metric
    )
    axis = next((axis for axis in AXES if internal.endswith(macro_metric("", axis))), None)
    metric = internal.removesuffix(macro_metric("", axis)) if axis else internal
    members = _members(row.model, table["model"].unique())
    own = table[(table["benchmark"] == column.dataset) & (table["metric"] == metric) & table["model"].isin(members)]
    if axis:
        own = own[own[axis] != ""]
    if own.empty:
        return
    items = own.groupby("item_id", as_index=False).agg(
        credit=("correct", "mean"), cluster=("cluster", "first"), group=(axis or "cluster", "first")
    )
    items["weight"] = 1 / items.groupby("group")["item_id"].transform("size") if axis else 1.0
    value = float(np.average(items["credit"], weights=items["weight"]))
    if abs(value - row.cells[column].value) > _ROUNDING:
        logger.warning(
            "%s in %s is not ranked by %s: the predictions beside it give another value",
            row.model,
            origin.folder,
            column.metric,
        )
        return
    yield items


def _members(model: str, there: Collection[str]) -> set[str]:
    """Return the models in the predictions that a line is the mean of."""
    if model in there:
        return {model}
    name = ModelName.parse(model)
    return {other for other in there if (seed := ModelName.parse(other)).seed is not None and seed.mean == name}


def _read(file: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(file, columns=list(_COLUMNS), filters=[("part", "==", PART)])
    except (OSError, ValueError, KeyError) as error:
        cause = f"they cannot be read ({type(error).__name__})"
        raise SourceDataError(
            file, cause, "Remove the file, then its models have no rank; or evaluate again"
        ) from error
    return table.assign(metric=table["item_id"].map(metric_of))
