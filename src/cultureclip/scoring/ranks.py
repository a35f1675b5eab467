"""Confidence sets of models' ranks, from comparisons of all pairs on the items that both answered.

A model's rank is one more than the number of models that are better. With theta_j the score of model j, each ordered
pair has a one-sided hypothesis H_jk: theta_j <= theta_k. In 95 % of evaluations all that Holm's procedure refuses, over
all of them at 5 %, are false. So, for all models at once (Mogstad, Romano, Shaikh and Wilhelm 2024, Review of Economic
Studies 91:476; Al Mohamad, Goeman and van Zwet 2022, Biometrics 78:238),

    rank of j in [1 + #{k: H_kj refused}, p - #{k: H_jk refused}]        p models

The first paper takes the bootstrap of the largest difference instead of Holm; ``bench/rank_coverage.py`` compares both.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import t

from cultureclip.scoring.significance import correct_holm
from cultureclip.statistics import LEVEL, ClusteredItems


@dataclass(frozen=True)
class RankSet:
    """The ranks that a model may have: 95 % for all models at once.

    Attributes:
        low: The best of them.
        high: The worst.
        of: Models ranked.
        compared: Models that shared items with it; a model that shared none may be better or worse.
    """

    low: int
    high: int
    of: int
    compared: int


@dataclass(frozen=True)
class RankedItems:
    """Items that several models were asked about.

    Attributes:
        credit: [items, models], NaN where a model was not asked.
        clusters: The cluster of each item, [items].
        columns: The metric of each item, [items]: of those that a pair shares each counts the same.
        weights: Weight of each item within its metric, [items].
    """

    credit: np.ndarray
    clusters: np.ndarray
    columns: np.ndarray
    weights: np.ndarray


def rank_models(items: RankedItems) -> list[RankSet | None]:
    """Return the confidence set of each model's rank; None for a model that shares no items with another.

    Models that share items with none have no rank and do not count in the others'.

    Args:
        items: The answers of all models.
    """
    p_better = _compare_pairs(items)
    shared = ~np.isnan(p_better)
    ranked = np.flatnonzero(shared.any(axis=1))
    refused = correct_holm(p_better.ravel()).reshape(p_better.shape) <= 1 - LEVEL  # NaN is never refused
    return [
        RankSet(1 + int(refused[:, j].sum()), len(ranked) - int(refused[j].sum()), len(ranked), int(shared[j].sum()))
        if shared[j].any()
        else None
        for j in range(len(p_better))
    ]


def _compare_pairs(items: RankedItems) -> np.ndarray:
    """Return the p-value of H_jk for all j and k, [models, models]; NaN where they share fewer than two clusters."""
    asked = ~np.isnan(items.credit)
    models = asked.shape[1]
    p_better = np.full((models, models), np.nan)
    samples: dict[bytes, ClusteredItems] = {}
    for j, k in combinations(range(models), 2):
        both = asked[:, j] & asked[:, k]
        if len(np.unique(items.clusters[both])) < 2:
            continue
        sample = samples.setdefault(both.tobytes(), _sample(items, both))
        p_better[j, k], p_better[k, j] = _test_pair(sample, items.credit[both, j] - items.credit[both, k])
    return p_better


def _sample(items: RankedItems, both: np.ndarray) -> ClusteredItems:
    _, column = np.unique(items.columns[both], return_inverse=True)
    weights = items.weights[both]
    return ClusteredItems(items.clusters[both], weights / np.bincount(column, weights)[column])


def _test_pair(sample: ClusteredItems, difference: np.ndarray) -> tuple[float, float]:
    """Test "not better" and "not worse": t over clusters, no smaller than their signs allow.

    D clusters that differ have 2^D equally likely signs where neither model is better, so a p-value below 2^-D would
    rest on the t distribution alone, which is wrong where few clusters differ.
    """
    value, error = sample.mean(difference), sample.standard_error(difference)
    floor = 0.5 ** sample.count_differing(difference)
    if error < 1e-9:
        return (floor if value > 0 else 1.0), (floor if value < 0 else 1.0)
    statistic, freedom = value / error, sample.count - 1
    return max(float(t.sf(statistic, freedom)), floor), max(float(t.cdf(statistic, freedom)), floor)


def say_rank(rank: RankSet | None) -> str:
    """Write a confidence set as text; empty where there is none."""
    if rank is None:
        return ""
    ends = str(rank.low) if rank.low == rank.high else f"{rank.low} to {rank.high}"
    return f"{ends} of {rank.of}"
