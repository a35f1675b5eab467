"""The predictions table as arrays: for each benchmark, metric and part, items by models."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cultureclip.benchmarks.protocols.items import metric_of
from cultureclip.errors import SourceDataError
from cultureclip.scoring.models import ModelName

_OF_ITEM = ["cluster", "culture", "category"]


@dataclass(frozen=True)
class Answers:
    """All models' answers to the same items.

    Attributes:
        benchmark: Name of the benchmark.
        metric: Metric of the items.
        part: ``dev`` or ``test``.
        items: One row per item, by ``item_id``: ``cluster``, ``culture``, ``category``.
        credit: The same rows, one column per model.
    """

    benchmark: str
    metric: str
    part: str
    items: pd.DataFrame
    credit: pd.DataFrame

    def mean(self, models: Collection[ModelName]) -> np.ndarray:
        """Return credit averaged over models, [items]."""
        return self.credit[list(map(str, models))].mean(axis=1).to_numpy()


def read_answers(predictions: pd.DataFrame, models: Collection[ModelName]) -> Iterator[Answers]:
    """Yield one :class:`Answers` a benchmark, metric and part, in alphabetical order.

    Args:
        predictions: The predictions table.
        models: Models that must have answered every item.

    Raises:
        SourceDataError: if one of them did not.
    """
    metrics = predictions["item_id"].map(metric_of)
    for key, group in predictions.groupby(["benchmark", metrics.rename("metric"), "part"], sort=True):
        benchmark, metric, part = map(str, key)
        credit = group.pivot(index="item_id", columns="model", values="correct").sort_index()
        _check_answered(credit.reindex(columns=sorted(map(str, set(models)))), f"{benchmark} {metric}")
        items = group.drop_duplicates("item_id").set_index("item_id")[_OF_ITEM].loc[credit.index]
        yield Answers(benchmark, metric, part, items, credit)


def _check_answered(credit: pd.DataFrame, label: str) -> None:
    lacking = credit.isna().sum()
    if lacking.any():
        raise SourceDataError(
            label,
            "models answered different items: " + ", ".join(f"{m} lacks {n}" for m, n in lacking.items() if n),
            "Evaluate all models on the same benchmarks: kedro run --pipelines=evaluation",
        )
