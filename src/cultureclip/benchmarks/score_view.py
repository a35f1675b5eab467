"""The scores table as a reader sees it: one block a benchmark, one line a model, all of one part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cultureclip.benchmarks.scores import BASE, split_instance

TITLES = {
    BASE: "Base CLIP",
    "clip": "CLIP, positive halves",
    "clip_both": "Plain contrastive tuning",
    "clip_concept": "CLIP on concepts",
    "negclip": "NegCLIP",
    "negclip_concept": "NegCLIP on concepts",
    "tripletclip": "TripletCLIP",
    "conclip": "CoN-CLIP",
    "clip_caption_clip_concept": "CLIP on captions and concepts",
    "neg_caption_clip_concept": "NegCLIP on captions, CLIP on concepts",
    "clip_caption_neg_concept": "CLIP on captions, NegCLIP on concepts",
    "cultureclip": "CultureCLIP",
}
METRIC_TITLES = {
    "accuracy": "accuracy",
    **{
        f"{way.replace(' ', '-')} R@{k}": f"{way} R@{k}"
        for way in ("image-to-text", "text-to-image")
        for k in (1, 5, 10)
    },
}
"""Metrics in the order in which they are shown."""


@dataclass(frozen=True)
class Difference:
    """A paired difference in points, with its interval and what it allows to say."""

    value: float
    low: float
    high: float
    p_value: float

    @property
    def verdict(self) -> str:
        """``above`` or ``below`` where the interval excludes zero, else ``unclear``."""
        if self.low > 0:
            return "above"
        return "below" if self.high < 0 else "unclear"


@dataclass(frozen=True)
class ModelScore:
    """One model's line."""

    model: str
    title: str
    value: float
    low: float
    high: float
    seeds: tuple[int, ...]
    spread: tuple[float, float] | None
    to_base: Difference | None
    to_plain: Difference | None


@dataclass(frozen=True)
class ScoreBlock:
    """One benchmark and metric."""

    benchmark: str
    title: str
    question: str
    metric: str
    chance: float | None
    n: int
    clusters: int
    models: tuple[ModelScore, ...]

    def of(self, model: str) -> ModelScore | None:
        """The line of a model."""
        return next((line for line in self.models if line.model == model), None)


def model_title(model: str) -> str:
    """A model's name for readers."""
    return TITLES.get(model, model)


def build_blocks(
    scores: pd.DataFrame,
    predictions: pd.DataFrame,
    cards: Sequence[Mapping[str, Any]],
    *,
    part: str,
    plain: str,
    proposed: str,
) -> list[ScoreBlock]:
    """Blocks of one part, in the order of the benchmarks' cards and of :data:`METRIC_TITLES`.

    Args:
        scores: The scores table.
        predictions: The predictions table; gives the number of concepts.
        cards: Benchmarks' cards.
        part: ``dev`` or ``test``.
        plain: The objective of plain contrastive tuning.
        proposed: The objective that is put last.
    """
    chosen = scores[scores["part"] == part]
    asked = predictions[predictions["part"] == part].groupby("benchmark")["cluster"].nunique()
    blocks = []
    for card in cards:
        of_benchmark = chosen[chosen["benchmark"] == card["name"]]
        for metric, title in METRIC_TITLES.items():
            group = of_benchmark[of_benchmark["metric"] == metric]
            if group.empty:
                continue
            order = [m for m in dict.fromkeys(group["model"]) if split_instance(m)[1] is None]
            order.sort(key=lambda m: (m != BASE, m == proposed, m != plain, m))
            blocks.append(
                ScoreBlock(
                    card["name"],
                    card["title"],
                    card["question"],
                    title,
                    card.get("chance"),
                    int(group["n"].iloc[0]),
                    int(asked.get(card["name"], 0)),
                    tuple(_model_score(group, model, plain) for model in order),
                )
            )
    return blocks


def _model_score(group: pd.DataFrame, model: str, plain: str) -> ModelScore:
    rows = group[group["model"] == model]
    first = rows.iloc[0]
    seeded = [m for m in dict.fromkeys(group["model"]) if split_instance(m)[0] == model and m != model]
    values = group[group["model"].isin(seeded)]["value"]
    return ModelScore(
        model,
        model_title(model),
        float(first["value"]),
        float(first["ci_low"]),
        float(first["ci_high"]),
        tuple(int(seed) for seed in first["seeds"]),
        (float(values.min()), float(values.max())) if len(values) else None,
        _difference(rows, BASE),
        _difference(rows, plain),
    )


def _difference(rows: pd.DataFrame, reference: str) -> Difference | None:
    found = rows[rows["reference"] == reference]
    if found.empty:
        return None
    row = found.iloc[0]
    value, low, high = (100 * float(row[name]) for name in ("difference", "diff_low", "diff_high"))
    return Difference(value, low, high, float(row["p_value"]))
