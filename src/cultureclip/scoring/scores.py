"""From per-item predictions to the tables of scores."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd

from cultureclip.benchmarks.protocols.items import metric_of
from cultureclip.errors import SourceDataError
from cultureclip.scoring.answers import Answers, read_answers
from cultureclip.scoring.groups import AXES, MIN_GROUP, macro_metric, macro_weights, score_groups
from cultureclip.scoring.models import BASE, ModelName, label_rows, read_names
from cultureclip.scoring.settings import ScoringSettings
from cultureclip.scoring.significance import NOISE, correct_holm, mcnemar_test, undecided_share
from cultureclip.statistics import ClusteredItems
from cultureclip.tables import GROUP_SCORES, SCORES, make_table


@dataclass(frozen=True)
class ScoredModel:
    """One scored model, or the mean of an objective over its seeds.

    Attributes:
        name: Name of the model; without a seed it is a mean.
        members: Models in ``predictions`` whose items are averaged.
        seeds: Seeds of the members; empty for the base and for models from elsewhere.
        references: Scored models that it is compared with.
    """

    name: ModelName
    members: tuple[ModelName, ...]
    seeds: tuple[int, ...]
    references: tuple[ModelName, ...]


def plan_scores(models: Iterable[ModelName], plain: str, headlines: Collection[ModelName] = ()) -> list[ScoredModel]:
    """Plan the models and means to score, and the references of their differences.

    Everything is compared with the base; means also with the mean of ``plain`` at the same scale, and each seed with
    the same seed of it. A headline is also compared with the headline of ``plain``, whose scale may be another.

    Args:
        models: Those in the predictions.
        plain: The objective of plain contrastive tuning.
        headlines: The model that stands for each objective (:func:`~.abilities.find_headlines`).
    """
    base = ModelName(BASE)
    present = sorted(set(models) - {base}, key=str)
    trained: dict[ModelName, list[tuple[int, ModelName]]] = defaultdict(list)
    plan = [ScoredModel(base, (base,), (), ())]
    for model in present:
        if model.seed is None:
            plan.append(ScoredModel(model, (model,), (), (base,)))
        else:
            trained[model.mean].append((model.seed, model))
    for mean in sorted(trained, key=str):
        seeds, members = zip(*sorted(trained[mean], key=itemgetter(0)), strict=True)
        rivals = {replace(mean, objective=plain): None}
        if mean in headlines:
            rivals |= {headline: None for headline in headlines if headline.objective == plain}
        others = [rival for rival in rivals if rival != mean and rival in trained]
        plan.append(ScoredModel(mean, members, seeds, (base, *others)))
        for model in members:
            same_seed = [replace(other, seed=model.seed) for other in others]
            references = (base, *(name for name in same_seed if name in present))
            plan.append(ScoredModel(model, (model,), (model.seed,), references))
    return plan


def score_predictions(
    predictions: pd.DataFrame,
    data_hashes: Mapping[str, str],
    settings: ScoringSettings,
    headlines: Collection[ModelName] = (),
) -> pd.DataFrame:
    """Score every model on every benchmark, metric and part; macro averages are metrics of their own.

    Args:
        predictions: The predictions table.
        data_hashes: Benchmark -> digest of its questions.
        settings: Comparisons to make, and the sign flips of a test.
        headlines: The model that stands for each objective (:func:`~.abilities.find_headlines`).

    Returns:
        The scores table: one row a (benchmark, metric, part, model, reference).

    Raises:
        SourceDataError: if the base is missing, or the models did not answer the same items.
    """
    plan = _plan(predictions, settings.plain_objective, headlines)
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
            scorer = _Scorer(items, weights, settings.resamples, settings.seed)
            for row in scorer.score(plan):
                key = (answers.benchmark, answers.metric, answers.part)
                shares = [undecided[(*key, str(member))] for member in row.pop("members")]
                rows.append(common | row | {"undecided": float(np.mean(shares)) if weights is None else np.nan})
    scores = label_rows(pd.DataFrame(rows), {model.name for model in plan})
    families = scores.groupby(["model", "reference", "part"])["p_value"]  # leaves out rows without a reference
    scores["p_holm"] = families.transform(lambda p: correct_holm(p.to_numpy())).astype(float)
    return scores[list(SCORES.columns)]


def score_all_groups(predictions: pd.DataFrame, plain: str, headlines: Collection[ModelName] = ()) -> pd.DataFrame:
    """Score the base, every mean over seeds and every model from elsewhere on each culture and each category.

    Args:
        predictions: The predictions table.
        plain: The objective of plain contrastive tuning.
        headlines: Models at a scale of their update that are scored as well.

    Returns:
        The table of group scores.

    Raises:
        SourceDataError: if the base is missing, or the models did not answer the same items.
    """
    plan = [m for m in _plan(predictions, plain, headlines) if m.name.is_whole_mean or m.name in headlines]
    rows: list[dict[str, Any]] = []
    for answers in read_answers(predictions, _members(plan)):
        values = {str(model.name): answers.mean(model.members) for model in plan}
        common = {"benchmark": answers.benchmark, "metric": answers.metric, "part": answers.part}
        rows += [common | row for row in score_groups(answers.items, values, BASE, MIN_GROUP)]
    return make_table(rows, GROUP_SCORES).astype({"rank": "Int64"})


class _Scorer:
    """Scores of all models on one set of items."""

    def __init__(self, answers: Answers, weights: np.ndarray | None, flips: int, seed: int) -> None:
        self.answers, self.is_macro = answers, weights is not None
        self.sample = ClusteredItems(answers.items["cluster"].to_numpy(), weights)
        self.signs = self.sample.draw_signs(flips, seed)
        # one array instead of a table: taking columns out of a table, thousands of times, took most of the time
        self._credits = answers.credit.to_numpy()
        self._columns = {name: place for place, name in enumerate(answers.credit.columns)}
        self._means: dict[ModelName, np.ndarray] = {}

    def _credit(self, members: Iterable[ModelName]) -> np.ndarray:
        """Return the models' credits, [items, models]."""
        return self._credits[:, [self._columns[str(member)] for member in members]]

    def _mean(self, model: ScoredModel) -> np.ndarray:
        """Return each item's mean over the members, [items]; computed once a model, as a model has many references."""
        if model.name not in self._means:
            self._means[model.name] = self._credit(model.members).mean(axis=1)
        return self._means[model.name]

    def score(self, plan: Iterable[ScoredModel]) -> Iterator[dict[str, Any]]:
        """Yield rows of all models, one a reference."""
        plan = list(plan)
        by_name = {model.name: model for model in plan}
        pairs = [(model.name, reference) for model in plan for reference in model.references]
        values = [(self._mean(by_name[one]), self._mean(by_name[other])) for one, other in pairs]
        p_values = dict(zip(pairs, self.sample.test_differences(values, self.signs).tolist(), strict=True))
        for model in plan:
            shared = self._describe(model)
            for reference in model.references or (None,):
                row = shared | self._compare(model, by_name[reference] if reference else None)
                yield row | {"p_value": p_values[model.name, reference] if reference else np.nan}

    def _describe(self, model: ScoredModel) -> dict[str, Any]:
        own = self.sample.estimate_mean(self._mean(model))
        spread = dict.fromkeys(("seed_std", "seed_low", "seed_high"), np.nan)
        if len(model.seeds) > 1:
            seeds = [self.sample.mean(credit) for credit in self._credit(model.members).T]
            spread = {"seed_std": float(np.std(seeds, ddof=1)), "seed_low": min(seeds), "seed_high": max(seeds)}
        return {
            "model": str(model.name),
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
            figures = dict.fromkeys(("difference", "diff_low", "diff_high", "detectable", "mcnemar_p"), np.nan)
            return figures | {"reference": None, "mcnemar_n": 0, "mcnemar_excluded": 0}
        found = self.sample.estimate_difference(self._mean(model), self._mean(reference))
        row = {
            "reference": str(reference.name),
            "difference": found.value,
            "diff_low": found.low,
            "diff_high": found.high,
            "detectable": found.detectable,
        }
        if self.is_macro:  # it weighs items, which the test cannot
            return row | {"mcnemar_p": np.nan, "mcnemar_n": 0, "mcnemar_excluded": 0}
        test = mcnemar_test(self._credit(model.members), self._credit(reference.members))
        return row | {"mcnemar_p": test.p_value, "mcnemar_n": test.n, "mcnemar_excluded": test.excluded}


def _plan(predictions: pd.DataFrame, plain: str, headlines: Collection[ModelName]) -> list[ScoredModel]:
    names = read_names(predictions)
    if ModelName(BASE) not in names:
        raise SourceDataError("predictions", "the base model has none", "Run: kedro run --pipelines=evaluation")
    return plan_scores(names, plain, headlines)


def _members(plan: Iterable[ScoredModel]) -> set[ModelName]:
    return {member for model in plan for member in model.members}


def _variants(answers: Answers) -> Iterator[tuple[str, Answers, np.ndarray | None]]:
    """Yield the metric itself, and its macro averages over the items that belong to a group."""
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
