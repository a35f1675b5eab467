"""Agreement of ratings: Cohen's weighted kappa and Krippendorff's alpha, with intervals over concepts.

Both are ratios of sums over images. A bootstrap that draws concepts therefore needs each concept's sums only, and
computes all resamples at once.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, t

from cultureclip.statistics import LEVEL

_MOST_UNDEFINED = 0.05
"""Largest share of resamples in which a measure is undefined for its interval to be shown."""

Measure = Callable[[np.ndarray], np.ndarray]
"""Sums [..., S] -> values [...], NaN where undefined."""


@dataclass(frozen=True)
class Agreement:
    """An agreement with its 95 % interval.

    Attributes:
        value: 1 is full agreement, 0 what chance gives; None where it is undefined.
        low: Lower end; None where no interval can be drawn.
        high: Upper end.
        reason: Why something is None.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


def kappa_sums(ones: np.ndarray, others: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the terms per pair of ratings, [pairs, 6], whose sums :func:`weighted_kappa` reads."""
    terms = (np.ones_like(ones), ones, others, ones**2, others**2, ones * others)
    sums: np.ndarray = np.stack(terms, axis=1) * weights[:, None]
    return sums


def weighted_kappa(sums: np.ndarray) -> np.ndarray:
    """Return Cohen's kappa with quadratic weights.

        kappa = 1 - E[(a - b)^2] / (var a + var b + (mean a - mean b)^2)

    the mean square difference against what it would be if a and b were independent (Cohen 1968, Psychological Bulletin
    70:213). It needs no categories, so a judge may give fractions; it then is Lin's concordance (1989).

    Args:
        sums: Of :func:`kappa_sums`, [..., 6].

    Returns:
        Values [...]; NaN where both sides give one and the same rating throughout.
    """
    weight = sums[..., 0]
    mean_a, mean_b, square_a, square_b, product = (sums[..., k] / weight for k in range(1, 6))
    seen = square_a + square_b - 2 * product
    by_chance = square_a + square_b - 2 * mean_a * mean_b
    return np.where(by_chance > 1e-9, 1 - seen / np.where(by_chance > 1e-9, by_chance, 1), np.nan)


def alpha_sums(counts: np.ndarray) -> np.ndarray:
    """Return coincidences per image, [images, V * V], whose sums :func:`ordinal_alpha` reads.

    Args:
        counts: How many people gave each of the V ratings, [images, V]; images that fewer than two rated count nothing.
    """
    raters = counts.sum(1)
    usable = np.where(raters > 1, raters - 1, np.inf)[:, None, None]
    own = counts[:, :, None] * np.eye(counts.shape[1])
    pairs: np.ndarray = (counts[:, :, None] * counts[:, None, :] - own) / usable
    return pairs.reshape(len(counts), -1)


def ordinal_alpha(sums: np.ndarray) -> np.ndarray:
    """Return Krippendorff's alpha for ordered ratings.

        alpha = 1 - (n - 1) sum_ck o_ck d_ck / sum_ck n_c n_k d_ck
        d_ck  = (sum of n_g for g from c to k, less (n_c + n_k) / 2)^2

    o are the coincidences, n_c their marginals and n all of them (Krippendorff 2011, Computing Krippendorff's
    Alpha-Reliability). It takes any number of raters, each of whom may have rated any images.

    Args:
        sums: Of :func:`alpha_sums`, [..., V * V].

    Returns:
        Values [...]; NaN where everybody gives one and the same rating.
    """
    size = math.isqrt(sums.shape[-1])
    seen = sums.reshape(*sums.shape[:-1], size, size)
    marginals = seen.sum(-1)
    total = marginals.sum(-1)
    reached = np.cumsum(marginals, axis=-1) - marginals / 2  # each rating's place in the order: half of its own share
    apart = (reached[..., :, None] - reached[..., None, :]) ** 2
    observed = (seen * apart).sum((-1, -2))
    expected = (marginals[..., :, None] * marginals[..., None, :] * apart).sum((-1, -2))
    defined = expected > 1e-9
    return np.where(defined, 1 - (total - 1) * observed / np.where(defined, expected, 1), np.nan)


def bootstrap(
    measure: Measure, sums: np.ndarray, clusters: np.ndarray, resamples: int, rng: np.random.Generator
) -> Agreement:
    """Return a measure with its expanded percentile interval (Hesterberg 2015, American Statistician 69:371).

    Whole clusters are drawn. The percentiles are those of a t interval, because a bootstrap of few clusters is narrow.

    Args:
        measure: :func:`weighted_kappa` or :func:`ordinal_alpha`.
        sums: Terms of each item, [items, S].
        clusters: Cluster of each item, [items].
        resamples: Number of resamples.
        rng: Source of the resamples.
    """
    _, index = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    count = int(index.max()) + 1
    per_cluster = np.zeros((count, sums.shape[1]))
    np.add.at(per_cluster, index, sums)
    value = float(measure(per_cluster.sum(0)))
    if np.isnan(value):
        return Agreement(reason="undefined: all ratings are the same")
    if count < 2:
        return Agreement(value, reason="no interval: one concept")
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    with np.errstate(invalid="ignore", divide="ignore"):  # a resample of clusters without any pair
        values = measure(drawn @ per_cluster)
    values = values[np.isfinite(values)]
    if len(values) < (1 - _MOST_UNDEFINED) * resamples:
        return Agreement(value, reason="no interval: too few ratings differ")
    if np.ptp(values) < 1e-9:
        return Agreement(value, reason="no interval: no concept differs from another")
    tail = norm.cdf(np.sqrt(count / (count - 1)) * t.ppf((1 - LEVEL) / 2, count - 1))
    low, high = np.quantile(values, [tail, 1 - tail])
    return Agreement(value, float(low), float(high))
