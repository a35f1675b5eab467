"""From per-item predictions to the tables of scores."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cultureclip.benchmarks.protocols.items import metric_of
from cultureclip.errors import SourceDataError
from cultureclip.scoring.answers import Answers, read_answers
from cultureclip.scoring.groups import AXES, MIN_GROUP, macro_metric, macro_weights, score_groups
from cultureclip.scoring.significance import NOISE, correct_holm, mcnemar_test, undecided_share
from cultureclip.scoring.statistics import ClusteredItems
from cultureclip.tables import GROUP_SCORES, SCORES, make_table

BASE = "base"
_NAME = re.compile(r"(?P<objective>.+?)(_s(?P<seed>\d{1,18}))?(?P<scale>@[01]\.\d+)?")


@dataclass(frozen=True)
class ScoredModel:
    """What is scored: one model, or an objective's mean over its seeds.

    Attributes:
        name: Model name; for a mean the objective.
        members: Models in ``predictions`` whose items are averaged.
        seeds: Their seeds; empty for the base and for models from elsewhere.
        references: Scored models that it is compared with.
    """

    name: str
    members: tuple[str, ...]
    seeds: tuple[int, ...]
    references: tuple[str, ...]

    @property
    def is_headline(self) -> bool:
        """Whether it stands for itself: the base, a mean over seeds, a model from elsewhere, each at full scale."""
        return split_instance(self.name)[1] is None and split_scale(self.name)[1] is None


def instance_name(objective: str, seed: int) -> str:
    """Name of the model trained with an objective (``<objective>@<scale>`` with its update scaled) and a seed."""
    name, at, scale = objective.partition("@")
    return f"{name}_s{seed}{at}{scale}"


def split_instance(model: str) -> tuple[str, int | None]:
    """Objective (with its scale, if any) and seed of a model's name; no seed for the base, means and others' models."""
    match = _NAME.fullmatch(model)
    if match is None or match["seed"] is None:
        return model, None
    return match["objective"] + (match["scale"] or ""), int(match["seed"])


def split_scale(model: str) -> tuple[str, float | None]:
    """A name ``<model>@<scale>`` as model and scale of its update (WiSE-FT); the scale is None where none is named."""
    match = _NAME.fullmatch(model)
    if match is None or match["scale"] is None:
        return model, None
    return model.removesuffix(match["scale"]), float(match["scale"][1:])


def scaled_name(model: str, scale: float) -> str:
    """Name of a model with its update scaled, as :func:`split_scale` reads it."""
    return f"{model}@{scale:.2f}"


def plan_scores(models: Iterable[str], plain: str) -> list[ScoredModel]:
    """Which models and means are scored, and against what.

    Everything is compared with the base; means also with the mean of ``plain`` at the same scale, and each seed with
    the same seed of it.

    Args:
        models: Names in the predictions.
        plain: The objective of plain contrastive tuning.
    """
    present = sorted(set(models) - {BASE})
    by_objective: dict[str, list[tuple[int, str]]] = defaultdict(list)
    plan = [ScoredModel(BASE, (BASE,), (), ())]
    for model in present:
        objective, seed = split_instance(model)
        if seed is None:
            plan.append(ScoredModel(model, (model,), (), (BASE,)))
        else:
            by_objective[objective].append((seed, model))
    for objective, runs in sorted(by_objective.items()):
        runs.sort()
        rival = plain + objective.removeprefix(split_scale(objective)[0])
        others = (rival,) if objective != rival and rival in by_objective else ()
        seeds, members = zip(*runs, strict=True)
        plan.append(ScoredModel(objective, members, seeds, (BASE, *others)))
        for seed, model in runs:
            same_seed = [name for name in (instance_name(other, seed) for other in others) if name in present]
            plan.append(ScoredModel(model, (model,), (seed,), (BASE, *same_seed)))
    return plan


def score_predictions(
    predictions: pd.DataFrame, data_hashes: Mapping[str, str], plain: str, resamples: int, seed: int
) -> pd.DataFrame:
    """Score every model on every benchmark, metric and part; macro averages are metrics of their own.

    Args:
        predictions: The predictions table.
        data_hashes: Benchmark -> digest of what it asks.
        plain: The objective of plain contrastive tuning.
        resamples: Sign flips of a test.
        seed: Their seed.

    Returns:
        The scores table: one row a (benchmark, metric, part, model, reference).

    Raises:
        SourceDataError: the base is missing, or the models did not answer the same items.
    """
    plan = _plan(predictions, plain)
    undecided = _undecided(predictions)
    rows: list[dict[str, Any]] = []
    for answers in read_answers(predictions, _members(plan)):
        for metric, items, weights in _variants(answers):
            common = {
                "benchmark": answers.benchmark,
                "metric": metric,
                "part": answers.part,
                "data_hash": data_hashes[answers.benchmark],
            }
            scorer = _Scorer(items, weights, resamples, seed)
            for row in scorer.score(plan):
                key = (answers.benchmark, answers.metric, answers.part)
                shares = [undecided[(*key, member)] for member in row.pop("members")]
                rows.append(common | row | {"undecided": float(np.mean(shares)) if weights is None else np.nan})
    scores = pd.DataFrame(rows)
    families = scores.groupby(["model", "reference", "part"])["p_value"]  # rows without a reference are in none
    scores["p_holm"] = families.transform(lambda p: correct_holm(p.to_numpy())).astype(float)
    return scores[list(SCORES.columns)]


def score_all_groups(predictions: pd.DataFrame, plain: str) -> pd.DataFrame:
    """Score the base, every mean over seeds and every model from elsewhere on each culture and each category.

    Args:
        predictions: The predictions table.
        plain: The objective of plain contrastive tuning.

    Returns:
        The table of group scores.

    Raises:
        SourceDataError: the base is missing, or the models did not answer the same items.
    """
    plan = [model for model in _plan(predictions, plain) if model.is_headline]
    rows: list[dict[str, Any]] = []
    for answers in read_answers(predictions, _members(plan)):
        values = {model.name: answers.mean(model.members) for model in plan}
        common = {"benchmark": answers.benchmark, "metric": answers.metric, "part": answers.part}
        rows += [common | row for row in score_groups(answers.items, values, BASE, MIN_GROUP)]
    return make_table(rows, GROUP_SCORES).astype({"rank": "Int64"})


class _Scorer:
    """Scores of all models on one set of items."""

    def __init__(self, answers: Answers, weights: np.ndarray | None, flips: int, seed: int) -> None:
        self.answers, self.is_macro = answers, weights is not None
        self.sample = ClusteredItems(answers.items["cluster"].to_numpy(), weights)
        self.signs = self.sample.draw_signs(flips, seed)

    def score(self, plan: Iterable[ScoredModel]) -> Iterator[dict[str, Any]]:
        """Rows of all models, one a reference."""
        plan = list(plan)
        by_name = {model.name: model for model in plan}
        for model in plan:
            shared = self._describe(model)
            for reference in model.references or (None,):
                yield shared | self._compare(model, by_name[reference] if reference else None)

    def _describe(self, model: ScoredModel) -> dict[str, Any]:
        own = self.sample.estimate_mean(self.answers.mean(model.members))
        spread = dict.fromkeys(("seed_std", "seed_low", "seed_high"), np.nan)
        if len(model.seeds) > 1:
            seeds = [self.sample.mean(self.answers.mean([member])) for member in model.members]
            spread = {"seed_std": float(np.std(seeds, ddof=1)), "seed_low": min(seeds), "seed_high": max(seeds)}
        return {
            "model": model.name,
            "members": model.members,
            "value": own.value,
            "ci_low": own.low,
            "ci_high": own.high,
            "n": len(self.answers.items),
            "clusters": self.sample.count,
            "seeds": list(model.seeds),
            **spread,
        }

    def _compare(self, model: ScoredModel, reference: ScoredModel | None) -> dict[str, Any]:
        if reference is None:
            figures = dict.fromkeys(
                ("difference", "diff_low", "diff_high", "detectable", "p_value", "mcnemar_p"), np.nan
            )
            return figures | {"reference": None, "mcnemar_n": 0, "mcnemar_excluded": 0}
        own, other = self.answers.mean(model.members), self.answers.mean(reference.members)
        found = self.sample.estimate_difference(own, other)
        row = {
            "reference": reference.name,
            "difference": found.value,
            "diff_low": found.low,
            "diff_high": found.high,
            "detectable": found.detectable,
            "p_value": self.sample.test_difference(own, other, self.signs),
        }
        if self.is_macro:  # it weighs items, which the test cannot
            return row | {"mcnemar_p": np.nan, "mcnemar_n": 0, "mcnemar_excluded": 0}
        credit = self.answers.credit
        test = mcnemar_test(credit[list(model.members)].to_numpy(), credit[list(reference.members)].to_numpy())
        return row | {"mcnemar_p": test.p_value, "mcnemar_n": test.n, "mcnemar_excluded": test.excluded}


def _plan(predictions: pd.DataFrame, plain: str) -> list[ScoredModel]:
    if BASE not in set(predictions["model"]):
        raise SourceDataError("predictions", "the base model has none", "Run: kedro run --pipelines=evaluation")
    return plan_scores(predictions["model"], plain)


def _members(plan: Iterable[ScoredModel]) -> set[str]:
    return {member for model in plan for member in model.members}


def _variants(answers: Answers) -> Iterator[tuple[str, Answers, np.ndarray | None]]:
    """The metric itself, and its macro averages over the items that belong to a group."""
    yield answers.metric, answers, None
    for axis in AXES:
        grouped = (answers.items[axis] != "").to_numpy()
        weights = macro_weights(answers.items[axis][grouped])
        if weights is not None:
            part = Answers(
                answers.benchmark, answers.metric, answers.part, answers.items[grouped], answers.credit[grouped]
            )
            yield macro_metric(answers.metric, axis), part, weights


def _undecided(predictions: pd.DataFrame) -> dict[Any, float]:
    metrics = predictions["item_id"].map(metric_of).rename("metric")
    groups = predictions.groupby(["benchmark", metrics, "part", "model"])["scores"]
    return {key: undecided_share(list(scores), NOISE) for key, scores in groups}
