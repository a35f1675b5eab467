"""The scores table as a reader sees it: one block per benchmark, one line per model, all of one part."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cultureclip.report.words import judge_interval, model_title
from cultureclip.scoring.groups import AXES, macro_metric
from cultureclip.scoring.metrics import order_metrics
from cultureclip.scoring.models import BASE, ModelName


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A paired difference in points, with its interval and what it allows to say.

    Attributes:
        value: Points.
        low: Lower end of the 95 % interval.
        high: Upper end.
        p_value: Of the sign-flip test.
        p_holm: The same, corrected for all benchmarks and metrics.
        detectable: Points that would be found with 80 % power; NaN where the models agree on every item.
        mcnemar_p: Of McNemar's exact test; NaN for macro averages.
        mcnemar_n: Items in that test.
        mcnemar_excluded: Items that it had to leave out.
    """

    value: float
    low: float
    high: float
    p_value: float
    p_holm: float
    detectable: float
    mcnemar_p: float
    mcnemar_n: int
    mcnemar_excluded: int

    @property
    def verdict(self) -> str:
        """``above`` or ``below`` where the interval excludes zero, else ``unclear``."""
        return judge_interval(self.low, self.high)


@dataclass(frozen=True, kw_only=True)
class ModelScore:
    """One model's line.

    Attributes:
        model: Its name in tables.
        title: Its name for readers.
        value: Mean credit.
        low: Lower end of the 95 % interval.
        high: Upper end.
        seeds: Seeds averaged.
        spread: The least and the greatest seed; None for a model without seeds.
        seed_std: Standard deviation over seeds; None for fewer than two.
        undecided: Share of items whose best two options are closer than noise; None where that has no meaning.
        to_base: Difference to the base; None for the base.
        to_plain: Difference to the model that stands for plain tuning; None for the base, for plain tuning, and where
            the two were not compared.
    """

    model: str
    title: str
    value: float
    low: float
    high: float
    seeds: tuple[int, ...]
    spread: tuple[float, float] | None
    seed_std: float | None
    undecided: float | None
    to_base: Difference | None
    to_plain: Difference | None


@dataclass(frozen=True, kw_only=True)
class ScoreBlock:
    """One benchmark and metric.

    Attributes:
        benchmark: Its name in tables.
        title: Its name for readers.
        question: What is asked.
        metric: Name of the metric, for readers as in tables.
        is_macro: Whether it is the macro average of another metric.
        chance: Mean credit of guessing; None where that makes no sense.
        n: Items.
        clusters: Concepts.
        models: Lines in the order shown.
    """

    benchmark: str
    title: str
    question: str
    metric: str
    is_macro: bool
    chance: float | None
    n: int
    clusters: int
    models: tuple[ModelScore, ...]

    def of(self, model: str) -> ModelScore | None:
        """Return the line of a model."""
        return next((line for line in self.models if line.model == model), None)


def build_blocks(
    scores: pd.DataFrame,
    cards: Sequence[Mapping[str, Any]],
    *,
    part: str,
    plain: str,
    proposed: str,
) -> list[ScoreBlock]:
    """Build the blocks of one part, in the order of the benchmarks' cards and of :func:`~.metrics.order_metrics`.

    Of models whose update is scaled (``<model>@<scale>``), only ``plain`` and ``proposed`` have a line here; all of
    them have a chart of their own.

    Args:
        scores: The scores table.
        cards: Benchmarks' cards.
        part: ``dev`` or ``test``.
        plain: The model that stands for plain contrastive tuning.
        proposed: The model that is put last.
    """
    chosen = scores[scores["part"] == part]
    in_part = {name.objective for name in map(ModelName.parse, (plain, proposed)) if name.scale < 1}
    blocks = []
    for card in cards:
        of_benchmark = chosen[chosen["benchmark"] == card["name"]]
        present = list(dict.fromkeys(of_benchmark["metric"]))
        macros = {macro_metric(metric, axis) for metric in present for axis in AXES}
        for metric in order_metrics(present):
            group = of_benchmark[of_benchmark["metric"] == metric]
            shown = group["seed"].isna() & ((group["scale"] == 1) | group["model"].isin((plain, proposed)))
            order = list(dict.fromkeys(group.loc[shown, "model"]))
            order.sort(key=lambda m: (m != BASE, m == proposed, m != plain, m))
            blocks.append(
                ScoreBlock(
                    benchmark=card["name"],
                    title=card["title"],
                    question=card["question"],
                    metric=metric,
                    is_macro=metric in macros,
                    chance=card["chances"].get(metric),
                    n=int(group["n"].iloc[0]),
                    clusters=int(group["clusters"].iloc[0]),
                    models=tuple(_model_score(group, model, plain, _title(model, in_part)) for model in order),
                )
            )
    return blocks


@dataclass(frozen=True)
class MeanRecall:
    """The mean of R@1, R@5 and so on, which hides what is lost at first place; ``values`` are by model."""

    label: str
    values: Mapping[str, float]


def mean_recalls(blocks: Sequence[ScoreBlock]) -> dict[str, MeanRecall]:
    """Find, for every benchmark whose first metric is R@1 in one direction, the mean over that direction's cutoffs.

    Args:
        blocks: Blocks of one part, the main metric of each benchmark first.
    """
    found = {}
    for main in {block.benchmark: block for block in reversed(blocks)}.values():
        way, is_recall, _ = main.metric.partition("R@1")
        alike = [
            b for b in blocks if b.benchmark == main.benchmark and b.metric.startswith(f"{way}R@") and not b.is_macro
        ]
        if is_recall and len(alike) > 1:
            alike.sort(key=lambda block: int(block.metric.rpartition("@")[2]))
            label = "mean of " + ", ".join(block.metric.removeprefix(way) for block in alike)
            lines = [[line.value for block in alike if (line := block.of(own.model))] for own in main.models]
            values = {own.model: sum(line) / len(line) for own, line in zip(main.models, lines, strict=True)}
            found[main.benchmark] = MeanRecall(label, values)
    return found


def _title(model: str, in_part: Collection[str]) -> str:
    """Name a model; of objectives that stand on pages with a part of their update, all of it is called so."""
    return f"{model_title(model)}, all of its update" if model in in_part else model_title(model)


def _model_score(group: pd.DataFrame, model: str, plain: str, title: str) -> ModelScore:
    rows = group[group["model"] == model]
    first = rows.iloc[0]
    name = ModelName.parse(model)
    of_name = (group["objective"] == name.objective) & (group["scale"] == name.scale)
    values = group[of_name & group["seed"].notna()]["value"]
    return ModelScore(
        model=model,
        title=title,
        value=float(first["value"]),
        low=float(first["ci_low"]),
        high=float(first["ci_high"]),
        seeds=tuple(int(seed) for seed in first["seeds"]),
        spread=(float(values.min()), float(values.max())) if len(values) else None,
        seed_std=_given(first["seed_std"]),
        undecided=_given(first["undecided"]),
        to_base=_difference(rows, BASE),
        to_plain=_difference(rows, plain),
    )


def _difference(rows: pd.DataFrame, reference: str) -> Difference | None:
    found = rows[rows["reference"] == reference]
    if found.empty:
        return None
    row = found.iloc[0]
    value, low, high = (100 * float(row[name]) for name in ("difference", "diff_low", "diff_high"))
    return Difference(
        value=value,
        low=low,
        high=high,
        p_value=float(row["p_value"]),
        p_holm=float(row["p_holm"]),
        detectable=100 * float(row["detectable"]),
        mcnemar_p=float(row["mcnemar_p"]),
        mcnemar_n=int(row["mcnemar_n"]),
        mcnemar_excluded=int(row["mcnemar_excluded"]),
    )


def _given(cell: float) -> float | None:
    return None if pd.isna(cell) else float(cell)
