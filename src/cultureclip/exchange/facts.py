"""Facts that the card of a model states."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ScoreLine:
    """One benchmark and metric; shares, not points.

    Attributes:
        title: The benchmark.
        metric: The metric.
        n: Questions.
        clusters: Concepts that they are about.
        base: Score of the base.
        value: Score of the model, with ``low`` and ``high``, the ends of its 95 % interval.
        difference: Paired difference to the base, with ``diff_low`` and ``diff_high``.
        p_holm: Test of the difference, corrected for all benchmarks and metrics.
        over_seeds: Mean over all seeds of the objective; None for a single one.
    """

    title: str
    metric: str
    n: int
    clusters: int
    base: float
    value: float
    low: float
    high: float
    difference: float
    diff_low: float
    diff_high: float
    p_holm: float
    over_seeds: float | None


@dataclass(frozen=True, kw_only=True)
class AbilityLine:
    """Culture or general ability: the change against the base, with the ends of its 95 % interval."""

    title: str
    base: float
    value: float
    change: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """The training data.

    Attributes:
        rows: Rows by split.
        twins: Distinct twins.
        licences: Licence of the images, and rows.
        sources: From :func:`cultureclip.exchange.card.count_sources`.
        cultures: Culture, concepts, sides.
        makers: Role in the run -> model.
    """

    rows: Mapping[str, int]
    twins: int
    licences: Sequence[tuple[str, int]]
    sources: Sequence[tuple[str, str, int]]
    cultures: Sequence[tuple[str, int, int]]
    makers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """Everything that the card of a model says beyond the adapter's own card.

    Attributes:
        objective: Name of the objective for readers.
        seeds: Number of trainings of the objective.
        data: The training data.
        scores: Scores on held-out questions.
        abilities: Culture and general ability; empty if one of them was not measured.
        general: Benchmarks that general ability is measured on.
        not_asked: Benchmarks that were listed and not asked, with the reason.
        leaks: Counts of the comparison of training pictures with held-out ones.
        commit: Commit of the code, if known.
        run: Id of the run that evaluated.
    """

    objective: str
    seeds: int
    data: DataFacts
    scores: Sequence[ScoreLine]
    abilities: Sequence[AbilityLine]
    general: Sequence[str]
    not_asked: Sequence[tuple[str, str]]
    leaks: Mapping[str, Any]
    commit: str | None
    run: str
