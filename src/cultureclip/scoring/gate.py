"""Whether a checkpoint is worse than its base by more than a stated margin, and how sure that decision is."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pydantic import Field, model_validator
from scipy.stats import nct, t

from cultureclip.errors import ConfigurationError, SourceDataError
from cultureclip.scoring.answers import Answers, read_answers
from cultureclip.scoring.metrics import order_metrics
from cultureclip.scoring.models import BASE, ModelName, read_names
from cultureclip.scoring.scores import ScoredModel, plan_scores
from cultureclip.scoring.significance import correct_holm
from cultureclip.settings_base import Settings
from cultureclip.statistics import POWER, ClusteredItems
from cultureclip.tables import make_table


class Verdict(StrEnum):
    """Outcome for one benchmark."""

    WORSE = "worse"
    NOT_WORSE = "not worse"
    UNDECIDED = "undecided"


class GateSettings(Settings):
    """What a checkpoint must not lose.

    Attributes:
        model: Name of the checkpoint, as in the predictions; None for the one that stands for the proposed objective.
        benchmarks: Benchmarks that count, by their main metric; none named: all.
        part: ``dev`` or ``test``.
        min_delta: Least difference to the base that is accepted: -0.02 accepts a loss of two points.
        power_at: True difference that the gate is to catch; below ``min_delta``. The table says how likely it is to.
        level: How often a checkpoint that loses exactly ``min_delta`` may be called worse, over all benchmarks.
        fails_on: Verdicts that end the run with an error.
    """

    model: str | None = None
    benchmarks: tuple[str, ...] = ()
    part: str = Field(default="test", pattern="^(dev|test)$")
    min_delta: float = Field(gt=-1, lt=1)
    power_at: float = Field(ge=-1, lt=1)
    level: float = Field(default=0.05, gt=0, lt=0.5)
    fails_on: tuple[Verdict, ...] = (Verdict.WORSE,)

    @model_validator(mode="after")
    def _possible(self) -> "GateSettings":
        if self.power_at >= self.min_delta:
            raise ValueError(
                f"power_at {self.power_at} is not below min_delta {self.min_delta}: nothing is to be caught"
            )
        if not self.fails_on or Verdict.NOT_WORSE in self.fails_on:
            raise ValueError("fails_on: name worse, or worse and undecided")
        return self


GATE = pa.DataFrameSchema(
    {
        "model": pa.Column(str),
        "benchmark": pa.Column(str, unique=True),
        "metric": pa.Column(str),
        "n": pa.Column(int),
        "clusters": pa.Column(int),
        "base": pa.Column(float),
        "value": pa.Column(float),
        "difference": pa.Column(float),
        "low": pa.Column(float),  # 95 % interval of the difference
        "high": pa.Column(float),
        "p_worse": pa.Column(float, pa.Check.in_range(0, 1)),  # of "not worse than min_delta", after Holm
        "p_not_worse": pa.Column(float, pa.Check.in_range(0, 1)),  # of "worse than min_delta", after Holm
        "verdict": pa.Column(str, pa.Check.isin(list(Verdict))),
        "power": pa.Column(float, pa.Check.in_range(0, 1), nullable=True),  # to call power_at worse; null: no spread
        "caught": pa.Column(float, nullable=True),  # true difference that four of five such gates call worse
    },
    strict=True,
)


def judge_checkpoint(predictions: pd.DataFrame, settings: GateSettings, default: ModelName, plain: str) -> pd.DataFrame:
    """Judge a checkpoint on the main metric of each benchmark.

    Per benchmark a one-sided t test over clusters of "the difference is at least ``min_delta``", and one of the
    opposite; each family is corrected by Holm for the number of benchmarks. Power is that of the strictest of its
    steps, level over the number of benchmarks, at the spread that was observed.

    Args:
        predictions: The predictions table.
        settings: What must not be lost.
        default: The model that is judged where the settings name none.
        plain: The objective of plain contrastive tuning.

    Returns:
        Table GATE.

    Raises:
        ConfigurationError: if the model or a benchmark is not among the predictions.
        SourceDataError: if the models did not answer the same items, or a benchmark's items are of one concept.
    """
    model = _find_model(predictions, settings, default, plain)
    members = {*model.members, ModelName(BASE)}
    answers = [a for a in read_answers(predictions, members) if a.part == settings.part]
    main = _main_of(answers, settings)
    rows = [compare(asked, model, settings, len(main)) for asked in main]
    for column in ("p_worse", "p_not_worse"):
        corrected = correct_holm(np.array([row[column] for row in rows]))
        rows = [row | {column: float(p)} for row, p in zip(rows, corrected, strict=True)]
    return make_table([row | {"verdict": _decide(row, settings.level).value} for row in rows], GATE)


def tabulate_gate(table: pd.DataFrame, settings: GateSettings) -> pd.DataFrame:
    """Write the table as text, differences in points."""
    rows = [
        {
            "benchmark": f"{row['benchmark']} {row['metric']} (n = {row['n']:,})",
            "base": f"{100 * row['base']:.1f}",
            row["model"]: f"{100 * row['value']:.1f}",
            "difference": f"{100 * row['difference']:+.1f} ({100 * row['low']:+.1f} to {100 * row['high']:+.1f})",
            "verdict": row["verdict"],
            f"power at {100 * settings.power_at:+g}": "" if np.isnan(row["power"]) else f"{100 * row['power']:.0f} %",
            "caught by 4 of 5": "" if np.isnan(row["caught"]) else f"{100 * row['caught']:+.1f}",
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows).set_index("benchmark")


def failures(table: pd.DataFrame, settings: GateSettings) -> list[str]:
    """Describe the benchmarks whose verdict ends the run."""
    failed = table[table["verdict"].isin(settings.fails_on)]
    return [
        f"{r['benchmark']} {r['metric']} {r['verdict']} ({100 * r['difference']:+.1f})" for _, r in failed.iterrows()
    ]


def _find_model(predictions: pd.DataFrame, settings: GateSettings, default: ModelName, plain: str) -> ScoredModel:
    plan = {str(model.name): model for model in plan_scores(read_names(predictions), plain)}
    wanted = settings.model or str(default)
    if wanted == BASE or wanted not in plan:
        there = ", ".join(name for name in plan if name != BASE)
        raise ConfigurationError(
            f"gate.model {wanted}", "no checkpoint of this name was evaluated", f"There are {there}"
        )
    return plan[wanted]


def _main_of(answers: Sequence[Answers], settings: GateSettings) -> list[Answers]:
    """Return the main metric of each benchmark that counts."""
    there = dict.fromkeys(answer.benchmark for answer in answers)
    if unknown := [name for name in settings.benchmarks if name not in there]:
        cause = f"no {settings.part} questions of it were asked"
        raise ConfigurationError(f"gate.benchmarks {', '.join(unknown)}", cause, f"There are {', '.join(there)}")
    main = {name: order_metrics(a.metric for a in answers if a.benchmark == name)[0] for name in there}
    return [
        answer
        for answer in answers
        if answer.metric == main[answer.benchmark] and answer.benchmark in (settings.benchmarks or there)
    ]


def compare(asked: Answers, model: ScoredModel, settings: GateSettings, tests: int) -> dict[str, Any]:
    """Compare a checkpoint with its base on one metric; the p-values are not corrected yet.

    Args:
        asked: Answers of both.
        model: The checkpoint.
        settings: What must not be lost.
        tests: Number of benchmarks, which the power allows for.

    Raises:
        SourceDataError: if all items are of one concept.
    """
    sample = ClusteredItems(asked.items["cluster"].to_numpy())
    own, base = asked.mean(model.members), asked.mean([ModelName(BASE)])
    if sample.count < 2:
        cause = f"all {len(own)} questions are about one concept: nothing says how much differences vary"
        raise SourceDataError(f"{asked.benchmark} {asked.metric}", cause, "Leave it out of gate.benchmarks")
    found = sample.estimate_difference(own, base)
    error, freedom = sample.standard_error(own - base), sample.count - 1
    power = caught = np.nan
    # A loss that few concepts have may be missed by all that were asked about: as likely as this, at most.
    unseen = (1 - min(1.0, abs(found.value - settings.min_delta))) ** sample.effective_clusters
    if error > 1e-9:
        statistic = (found.value - settings.min_delta) / error
        p_worse = float(t.cdf(statistic, freedom))
        p_not_worse = max(float(t.sf(statistic, freedom)), unseen if found.value > settings.min_delta else 1.0)
        limit = t.ppf(settings.level / tests, freedom)
        power = float(nct.cdf(limit, freedom, (settings.power_at - settings.min_delta) / error))
        caught = float(settings.min_delta + (limit - t.ppf(POWER, freedom)) * error)
    else:
        p_worse, p_not_worse = (unseen, 1.0) if found.value < settings.min_delta else (1.0, unseen)
    return {
        "model": str(model.name),
        "benchmark": asked.benchmark,
        "metric": asked.metric,
        "n": len(own),
        "clusters": sample.count,
        "base": sample.mean(base),
        "value": sample.mean(own),
        "difference": found.value,
        "low": found.low,
        "high": found.high,
        "p_worse": p_worse,
        "p_not_worse": p_not_worse,
        "power": power,
        "caught": caught,
    }


def _decide(row: dict[str, Any], level: float) -> Verdict:
    if row["p_worse"] <= level:
        return Verdict.WORSE
    return Verdict.NOT_WORSE if row["p_not_worse"] <= level else Verdict.UNDECIDED
