"""How much of a score is the chance of the data, of the training's seed, and of the questions.

A score is observed for d draws of the data, s seeds of the training within each, and C clusters of questions, the same
for all. With Z[d, s] the mean over questions, MS_D and MS_S the mean squares between draws and between seeds of a draw:

    seed      = MS_S                     d (s - 1) degrees of freedom
    data      = (MS_D - MS_S) / s        d - 1
    questions = V_Q - V_DQ

are the variances of the score of one training, on as many questions. V_Q is the jackknife's variance over clusters of
the mean over all trainings, V_DQ the part of it that is what draws and clusters do together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2, f, kurtosis, norm, t
from statsmodels.stats.proportion import proportion_confint

from cultureclip.statistics import LEVEL, ClusteredItems, Estimate

_TAIL = (1 - LEVEL) / 2


@dataclass(frozen=True)
class Variance:
    """A mean over draws, seeds and questions, and the variances behind it.

    Attributes:
        mean: The mean, with an interval for other questions, other draws of the data and other seeds.
        questions_only: The same mean with the interval for other questions alone.
        data: Variance between draws of the data.
        seed: Variance between seeds of one draw.
        questions: Variance of the mean over as many other questions.
        draws: Number of draws.
        seeds: Number of seeds of each.
        items: Number of questions.
        clusters: Number of their clusters.
    """

    mean: Estimate
    questions_only: Estimate
    data: Estimate
    seed: Estimate
    questions: Estimate
    draws: int
    seeds: int
    items: int
    clusters: int


def decompose(values: np.ndarray, clusters: Sequence[str] | np.ndarray, *, is_difference: bool) -> Variance:
    """Decompose the variance of a score, or of a paired difference of two.

    Args:
        values: Credit, or difference of credits, [draws, seeds, items]; at least two draws and two seeds.
        clusters: Cluster of each item, [items].
        is_difference: Whether the values are differences in [-1, 1]; else they are in [0, 1].

    Raises:
        ValueError: if there are fewer than two draws, seeds or clusters.
    """
    draws, seeds, items = values.shape
    sample = ClusteredItems(np.asarray(clusters))
    if min(draws, seeds, sample.count) < 2:
        raise ValueError(f"{draws} draws, {seeds} seeds and {sample.count} clusters: two of each are needed")
    weights = sample.cluster_weights
    means = _cluster_means(values, sample)
    per_run = means @ weights / weights.sum()  # [draws, seeds]
    per_draw, grand = per_run.mean(1), float(per_run.mean())
    between = seeds * float(per_draw.var(ddof=1))
    within = float(((per_run - per_draw[:, None]) ** 2).sum() / (draws * (seeds - 1)))
    of_items = values.mean((0, 1))
    v_questions = sample.standard_error(of_items) ** 2
    v_draws = between / (draws * seeds)
    v_both = _interaction(means.mean(1), weights)
    total = max(v_draws + v_questions - v_both, v_draws, v_questions)
    freedom: float = sample.count - 1
    if total > 0:  # Satterthwaite's
        parts = v_draws**2 / (draws - 1) + v_questions**2 / (sample.count - 1)
        freedom = (v_draws + v_questions) ** 2 / parts
    mean = _interval(grand, total, freedom, sample.effective_clusters, is_difference=is_difference)
    alone = sample.estimate_difference(of_items, 0 * of_items) if is_difference else sample.estimate_mean(of_items)
    moved = 0.0 if is_difference else _mean_moves_variance(grand, total)
    return Variance(
        mean,
        alone,
        _subtract(between / seeds, within / seeds, _shrink(draws - 1, moved), _shrink(draws * (seeds - 1), moved)),
        _chi_squared(within, _shrink(draws * (seeds - 1), moved)),
        _subtract(
            v_questions,
            v_both,
            _shrink(sample.count - 1, max(moved, _excess(sample, of_items))),
            _shrink((sample.count - 1) * (draws - 1), moved),
        ),
        draws,
        seeds,
        items,
        sample.count,
    )


def _cluster_means(values: np.ndarray, sample: ClusteredItems) -> np.ndarray:
    """Return the means of all trainings on each cluster, [draws, seeds, clusters]."""
    members = np.zeros((len(sample.index), sample.count))
    members[np.arange(len(sample.index)), sample.index] = 1
    means: np.ndarray = values @ members / sample.cluster_weights
    return means


def _interaction(means: np.ndarray, weights: np.ndarray) -> float:
    """Return the variance of the grand mean by what draws and clusters do together; ``means`` [draws, clusters]."""
    draws, clusters = means.shape
    share = weights / weights.sum()
    rest = means - means.mean(0) - (means @ share)[:, None] + means.mean(0) @ share
    return float((rest**2 @ share**2).sum() / draws**2 * draws / (draws - 1) * clusters / (clusters - 1))


def _interval(value: float, variance: float, freedom: float, clusters: float, *, is_difference: bool) -> Estimate:
    """Return a t interval of a difference, or Wilson's of a share at the effective sample size."""
    quantile = float(t.ppf(1 - _TAIL, freedom))
    if is_difference:
        width = quantile * np.sqrt(variance)
        if variance < 1e-18:
            width = proportion_confint(0, clusters, alpha=1 - LEVEL, method="beta")[1]
        return Estimate(value, max(-1.0, float(value - width)), min(1.0, float(value + width)))
    size = value * (1 - value) / variance if variance > 1e-18 else clusters
    size *= (norm.ppf(1 - _TAIL) / quantile) ** 2
    low, high = proportion_confint(value * size, size, alpha=1 - LEVEL, method="wilson")
    return Estimate(value, max(0.0, float(low)), min(1.0, float(high)))


def _chi_squared(variance: float, freedom: float) -> Estimate:
    """Return a variance with its interval under normal errors."""
    low, high = (float(variance * freedom / chi2.ppf(q, freedom)) for q in (1 - _TAIL, _TAIL))
    return Estimate(variance, low, high)


def _subtract(first: float, second: float, n1: float, n2: float) -> Estimate:
    """Return the difference of two mean squares, at least 0, with the modified large-sample interval.

    Ting, Burdick, Graybill, Jeyaratnam and Lu (1990), Journal of Statistical Computation and Simulation 35:135. The
    interval holds 0 exactly where the F test of the two finds nothing.

    Args:
        first: Mean square that holds the variance looked for.
        second: Mean square of the rest.
        n1: Degrees of freedom of the first.
        n2: Degrees of freedom of the second.
    """
    high, low = 1 - _TAIL, _TAIL
    g1, g2 = (1 - n / chi2.ppf(high, n) for n in (n1, n2))
    h1, h2 = (n / chi2.ppf(low, n) - 1 for n in (n1, n2))
    upper, lower = f.ppf(high, n1, n2), f.ppf(low, n1, n2)
    g12 = ((upper - 1) ** 2 - g1**2 * upper**2 - h2**2) / upper
    h12 = ((1 - lower) ** 2 - h1**2 * lower**2 - g2**2) / lower
    down = (g1 * first) ** 2 + (h2 * second) ** 2 + g12 * first * second
    up = (h1 * first) ** 2 + (g2 * second) ** 2 + h12 * first * second
    value = first - second
    ends = value - np.sqrt(max(0.0, down)), value, value + np.sqrt(max(0.0, up))
    least, middle, most = (max(0.0, float(end)) for end in ends)
    return Estimate(middle, least, most)


def _mean_moves_variance(mean: float, variance: float) -> float:
    """Return the relative variance of (m (1 - m))^2 where m is only estimated: near 0 and 1 a variance hangs on it."""
    spread = mean * (1 - mean)
    return 0.0 if spread < 1e-9 else 2 * ((1 - 2 * mean) / spread) ** 2 * variance


def _excess(sample: ClusteredItems, values: np.ndarray) -> float:
    """Return by how much a variance over clusters varies beyond that of normal clusters: excess kurtosis over C."""
    sums = np.bincount(sample.index, values - sample.mean(values), minlength=sample.count)
    if sample.count < 4 or np.ptp(sums) < 1e-9:
        return 0.0
    return max(0.0, float(kurtosis(sums, bias=False))) / sample.count


def _shrink(freedom: float, relative_variance: float) -> float:
    """Return the degrees of freedom of a mean square whose relative variance is larger than the normal one's."""
    return max(0.5, 2 / (2 / freedom + relative_variance))
