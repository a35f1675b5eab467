"""Culture against general ability: one point for every model and every scale of its update, and which to choose.

Scaling the update down buys back general ability that tuning costs (WiSE-FT, Wortsman et al. 2022):
the models named ``<model>@<scale>`` are such mixtures; scale 0 is the base and 1 the tuned model.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from cultureclip.scoring.answers import Answers, read_answers
from cultureclip.scoring.metrics import counts_first_place, order_metrics
from cultureclip.scoring.models import BASE, ModelName, read_names
from cultureclip.scoring.pareto import Ability, front_probabilities
from cultureclip.scoring.scores import ScoredModel, plan_scores
from cultureclip.scoring.settings import ScoringSettings
from cultureclip.statistics import ClusteredItems
from cultureclip.tables import ABILITIES, make_table

CULTURE, GENERAL, GENERAL_FIRST = "culture", "general", "general_first"

logger = logging.getLogger(__name__)


def compare_abilities(predictions: pd.DataFrame, settings: ScoringSettings) -> pd.DataFrame:
    """Return culture and general score of every model, of means over seeds and of each seed, with intervals.

    The culture score is the mean of the main metric (:func:`~.metrics.order_metrics`) of every benchmark that is
    not general; the general score the mean of all metrics of the general ones, and the general score at first place the
    mean of those that count the best candidate alone (R@1, top-1, accuracy), since a mean with R@5 hides what is lost
    there. Intervals go by concept over all benchmarks at once, since benchmarks share concepts.

    ``on_front`` goes by the values, ``front_probability`` says how sure it is (:mod:`~.pareto`). ``chosen`` marks,
    among each objective's scales, the best at culture of which neither general score is more than ``max_general_loss``
    below the base's. The choice is made on the dev part and marked in both; without dev items, or where every scale
    loses more, nothing is chosen.

    Args:
        predictions: The predictions table.
        settings: Which benchmarks are general, and how much may be lost at them.

    Returns:
        The table of abilities; a part in which culture or general ability was not measured has no rows.

    Raises:
        SourceDataError: if the models did not answer the same items.
    """
    plan = plan_scores(read_names(predictions), settings.plain_objective)
    general = settings.general_benchmarks
    answers = list(read_answers(predictions, {member for model in plan for member in model.members}))
    asked = _names(answers)
    logger.debug(
        "General ability, by evaluation.general_benchmarks: %s. All others count as culture: %s",
        ", ".join(sorted(asked.intersection(general))) or "none",
        ", ".join(sorted(asked.difference(general))) or "none",
    )
    rows: list[dict[str, Any]] = []
    for part in sorted({answer.part for answer in answers}):
        of_part = [answer for answer in answers if answer.part == part]
        culture = _main_metrics([answer for answer in of_part if answer.benchmark not in general])
        overall = [answer for answer in of_part if answer.benchmark in general]
        if culture and overall:
            pools = {CULTURE: _Pool.of(culture), GENERAL: _Pool.of(overall)}
            if first := [answer for answer in overall if counts_first_place(answer.metric)]:
                pools[GENERAL_FIRST] = _Pool.of(first)
            placed = [{"part": part} | _place(model, plan[0], pools) for model in plan]
            sure = _front_probabilities(plan, pools, settings.seed)
            rows += [
                row | {"on_front": _on_front(row, placed), "front_probability": sure[row["model"]]} for row in placed
            ]
    chosen = set(_choose(rows, settings.max_general_loss))
    return make_table([row | {"chosen": row["model"] in chosen} for row in rows], ABILITIES).astype({"seed": "Int64"})


def headline_model(abilities: pd.DataFrame, objective: str) -> tuple[ModelName, bool]:
    """Find the model that stands for an objective on every page, and whether the rule chose it.

    Args:
        abilities: The table of abilities.
        objective: Name of the objective.

    Returns:
        The mean over seeds at the chosen scale of the update and True; where none is chosen, all of the update and
        False.
    """
    chosen = abilities[abilities["chosen"] & (abilities["objective"] == objective)]
    if chosen.empty:
        return ModelName(objective), False
    return ModelName(objective, scale=float(chosen["scale"].iloc[0])), True


def find_headlines(abilities: pd.DataFrame, settings: ScoringSettings) -> list[ModelName]:
    """Find the models that stand for plain tuning and for the proposed objective (:func:`headline_model`)."""
    objectives = dict.fromkeys((settings.plain_objective, settings.proposed_objective))
    return [headline_model(abilities, objective)[0] for objective in objectives]


@dataclass(frozen=True)
class _Pool:
    """All items that count for one ability, weighted so that each benchmark and metric counts the same."""

    sample: ClusteredItems
    clusters: np.ndarray
    credit: pd.DataFrame

    @classmethod
    def of(cls, answers: Sequence[Answers]) -> "_Pool":
        weights = np.concatenate([np.full(len(a.items), 1 / len(a.items)) for a in answers])
        clusters = np.concatenate([a.items["cluster"].to_numpy() for a in answers])
        return cls(ClusteredItems(clusters, weights), clusters, pd.concat([a.credit for a in answers]))

    def mean(self, model: ScoredModel) -> np.ndarray:
        return self.credit[list(map(str, model.members))].mean(axis=1).to_numpy()

    def ability(self, models: Sequence[ScoredModel]) -> Ability:
        return Ability(self.clusters, self.sample.weights, np.stack([self.mean(m) for m in models], axis=1))


def _main_metrics(answers: Sequence[Answers]) -> list[Answers]:
    """Return the first metric of every benchmark."""
    main = {name: order_metrics(a.metric for a in answers if a.benchmark == name)[0] for name in _names(answers)}
    return [answer for answer in answers if answer.metric == main[answer.benchmark]]


def _names(answers: Sequence[Answers]) -> set[str]:
    return {answer.benchmark for answer in answers}


def _place(model: ScoredModel, base: ScoredModel, pools: Mapping[str, _Pool]) -> dict[str, Any]:
    name, is_base = model.name, model is base
    full = 1.0 if model.seeds else np.nan  # how much of which update a model from elsewhere holds is not known
    row: dict[str, Any] = {
        "model": str(name),
        "objective": name.objective,
        "seed": name.seed,
        "scale": 0.0 if is_base else full if name.scale == 1 else name.scale,
        "seeds": list(model.seeds),
    }
    for ability, pool in pools.items():
        own = pool.sample.estimate_mean(pool.mean(model))
        change = pool.sample.estimate_difference(pool.mean(model), pool.mean(base))
        row |= {ability: own.value, f"{ability}_low": own.low, f"{ability}_high": own.high}
        if is_base:
            change = replace(change, low=0.0, high=0.0)
        row |= {
            f"{ability}_change": change.value,
            f"{ability}_change_low": change.low,
            f"{ability}_change_high": change.high,
        }
    return row


def _on_front(row: Mapping[str, Any], others: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether nothing else of its kind (means among means, seeds among seeds) is at least as good at both."""
    rivals = [other for other in others if other["seed"] == row["seed"] or other["model"] == BASE]
    own = (row[CULTURE], row[GENERAL])
    points = [(other[CULTURE], other[GENERAL]) for other in rivals]
    return not any(p != own and p[0] >= own[0] and p[1] >= own[1] for p in points)


def _front_probabilities(plan: Sequence[ScoredModel], pools: Mapping[str, _Pool], seed: int) -> dict[str, float]:
    """Return each model's probability of being on the front of its kind: means among means, a seed's among them."""
    base, *others = plan
    found = {str(base.name): 1.0}
    seeds = sorted({model.name.seed for model in others if model.name.seed is not None})
    for seed_of in (*seeds, None):  # the base's own probability is the one among means
        rivals = [base, *(model for model in others if model.name.seed == seed_of)]
        culture, general = (pools[name].ability(rivals) for name in (CULTURE, GENERAL))
        names = [str(model.name) for model in rivals]
        found |= zip(names, front_probabilities(culture, general, seed).tolist(), strict=True)
    return found


def _choose(rows: Sequence[Mapping[str, Any]], max_general_loss: float) -> Iterator[str]:
    """Yield the chosen model of each objective, by the dev part."""
    means = [r for r in rows if r["part"] == "dev" and r["seeds"] and r["seed"] is None]
    losses = (f"{GENERAL}_change", f"{GENERAL_FIRST}_change")
    kept = [row for row in means if all(row.get(loss, 0.0) >= -max_general_loss - 1e-12 for loss in losses)]
    for objective in sorted({row["objective"] for row in kept}):
        yield max((r for r in kept if r["objective"] == objective), key=lambda r: (r[CULTURE], r["scale"]))["model"]
