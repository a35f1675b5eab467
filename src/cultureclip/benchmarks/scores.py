"""From per-item predictions to the table of scores."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cultureclip.benchmarks.items import metric_of
from cultureclip.benchmarks.statistics import ClusterSampler, Estimate
from cultureclip.errors import SourceDataError
from cultureclip.tables import SCORES

BASE = "base"
_SEEDED = re.compile(r"(?P<objective>.+)_s(?P<seed>\d+)")


@dataclass(frozen=True)
class ScoredModel:
    """What is scored: one trained model, or an objective's mean over its seeds.

    Attributes:
        name: Model name; for a mean the objective.
        members: Models in ``predictions`` whose items are averaged.
        seeds: Their seeds; empty for the base.
        references: Scored models that it is compared with.
    """

    name: str
    members: tuple[str, ...]
    seeds: tuple[int, ...]
    references: tuple[str, ...]


def instance_name(objective: str, seed: int) -> str:
    """Name of the model trained with an objective and a seed."""
    return f"{objective}_s{seed}"


def split_instance(model: str) -> tuple[str, int | None]:
    """Objective and seed of a model's name; the seed is None for the base and for means."""
    match = _SEEDED.fullmatch(model)
    return (match["objective"], int(match["seed"])) if match else (model, None)


def plan_scores(models: Iterable[str], plain: str) -> list[ScoredModel]:
    """Which models and means are scored, and against what.

    Everything is compared with the base; the means also with the mean of ``plain``, and each seed with the same seed of
    ``plain``.

    Args:
        models: Names in the predictions.
        plain: The objective of plain contrastive tuning.
    """
    present = sorted(set(models))
    by_objective: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for model in present:
        objective, seed = split_instance(model)
        if seed is not None:
            by_objective[objective].append((seed, model))
    plan = [ScoredModel(BASE, (BASE,), (), ())]
    for objective, runs in sorted(by_objective.items()):
        runs.sort()
        others = (plain,) if objective != plain and plain in by_objective else ()
        seeds, members = zip(*runs, strict=True)
        plan.append(ScoredModel(objective, members, seeds, (BASE, *others)))
        for seed, model in runs:
            rival = instance_name(plain, seed)
            plan.append(
                ScoredModel(model, (model,), (seed,), (BASE, *((rival,) if others and rival in present else ())))
            )
    return plan


def score_predictions(
    predictions: pd.DataFrame, data_hashes: Mapping[str, str], plain: str, resamples: int, seed: int
) -> pd.DataFrame:
    """Score every model on every benchmark, metric and part.

    Args:
        predictions: The predictions table.
        data_hashes: Benchmark -> digest of what it asks.
        plain: The objective of plain contrastive tuning.
        resamples: Bootstrap samples and sign flips.
        seed: Their seed.

    Returns:
        The scores table: one row a (benchmark, metric, part, model, reference).

    Raises:
        SourceDataError: the base is missing, or the models did not answer the same items.
    """
    if BASE not in set(predictions["model"]):
        raise SourceDataError("predictions", "the base model has none", "Run: kedro run --pipeline=evaluation")
    plan = plan_scores(predictions["model"], plain)
    keyed = predictions.assign(metric=predictions["item_id"].map(metric_of))
    rows: list[dict[str, Any]] = []
    for (benchmark, metric, part), group in keyed.groupby(["benchmark", "metric", "part"], sort=True):
        common = {"benchmark": benchmark, "metric": metric, "part": part, "data_hash": data_hashes[str(benchmark)]}
        rows += [common | row for row in _score_group(group, plan, f"{benchmark} {metric}", resamples, seed)]
    return pd.DataFrame(rows, columns=list(SCORES.columns))


def _score_group(
    group: pd.DataFrame, plan: Sequence[ScoredModel], label: str, resamples: int, seed: int
) -> Iterable[dict[str, Any]]:
    correct = group.pivot(index="item_id", columns="model", values="correct").sort_index()
    needed = [member for model in plan for member in model.members]
    unanswered = correct.reindex(columns=sorted(set(needed))).isna().sum()
    if unanswered.any():
        raise SourceDataError(
            label,
            "models answered different items: " + ", ".join(f"{m} lacks {n}" for m, n in unanswered.items() if n),
            "Evaluate all models on the same benchmarks: kedro run --pipeline=evaluation",
        )
    clusters = group.drop_duplicates("item_id").set_index("item_id")["cluster"].loc[correct.index]
    sampler = ClusterSampler(clusters.to_numpy(), resamples, seed)
    values = {model.name: correct[list(model.members)].mean(axis=1).to_numpy() for model in plan}
    for model in plan:
        own = sampler.estimate_mean(values[model.name])
        shared = {"model": model.name, "n": len(correct), "seeds": list(model.seeds)}
        shared |= {"value": own.value, "ci_low": own.low, "ci_high": own.high}
        for reference in model.references or (None,):
            difference = (
                sampler.estimate_difference(values[model.name], values[reference])
                if reference
                else Estimate(np.nan, np.nan, np.nan)
            )
            yield shared | {
                "reference": reference,
                "difference": difference.value,
                "diff_low": difference.low,
                "diff_high": difference.high,
                "p_value": np.nan if difference.p_value is None else difference.p_value,
            }
