"""Intervals and tests over items that come in clusters: questions about one concept are not independent.

An item's value is averaged over seeds first; what is resampled, or has its sign flipped, is the concept.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import norm, t
from statsmodels.stats.proportion import proportion_confint


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval, and for a difference its p-value."""

    value: float
    low: float
    high: float
    p_value: float | None = None


class ClusterSampler:
    """Resamples of clusters, drawn once and used for every model, so that models are compared on the same draws.

    Args:
        clusters: The cluster of each item, [items].
        resamples: How many bootstrap samples and sign flips.
        seed: Seed of all draws.
        level: Coverage of intervals.
    """

    def __init__(self, clusters: np.ndarray, resamples: int, seed: int, level: float = 0.95) -> None:
        names, self.index = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
        self.count = len(names)
        self.sizes = np.bincount(self.index).astype(float)
        self.resamples, self.seed, self.level = resamples, seed, level

    def estimate_mean(self, values: np.ndarray) -> Estimate:
        """Mean over items and its cluster-bootstrap interval.

        Where all items agree (all right, all wrong) the bootstrap has no spread; the Clopper-Pearson interval over
        clusters is given instead.

        Args:
            values: In [0, 1], [items].
        """
        value = float(values.mean())
        if np.all(values == values[0]) and values[0] in (0.0, 1.0):
            low, high = proportion_confint(value * self.count, self.count, alpha=1 - self.level, method="beta")
            return Estimate(value, float(low), float(high))
        low, high = self._interval(values)
        return Estimate(value, max(0.0, low), min(1.0, high))

    def estimate_difference(self, values: np.ndarray, reference: np.ndarray) -> Estimate:
        """Mean paired difference over the same items, its interval, and the p-value of a sign-flip test.

        The test flips the sign of each cluster's sum of differences: under the null hypothesis that neither model is
        better, both signs are equally likely. p = (1 + #{|T*| >= |T|}) / (1 + flips). (McNemar's test, its counterpart
        for single yes/no answers, would take a concept's questions as independent.)

        Args:
            values: One model's, [items].
            reference: The other's on the same items.
        """
        difference = values - reference
        low, high = self._interval(difference)
        sums = self._sums(difference)
        observed = abs(sums.sum())
        extreme = int((np.abs(self._signs @ sums) >= observed - 1e-9).sum())
        p_value = (1 + extreme) / (1 + self.resamples)
        return Estimate(float(difference.mean()), max(-1.0, low), min(1.0, high), p_value)

    def _sums(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.index, weights=values, minlength=self.count)

    def _interval(self, values: np.ndarray) -> tuple[float, float]:
        """Expanded percentile interval (Hesterberg, 2015, The American Statistician 69:371).

        The plain percentile interval is too narrow by sqrt((C - 1) / C) and by normal instead of t quantiles; its
        level is raised by just that: alpha' / 2 = Phi(-sqrt(C / (C - 1)) t_{alpha / 2, C - 1}).
        """
        if self.count < 2:
            return -np.inf, np.inf
        factor = np.sqrt(self.count / (self.count - 1))
        tail = norm.cdf(factor * t.ppf((1 - self.level) / 2, self.count - 1))
        low, high = np.quantile(self._resampled_means(values), [tail, 1 - tail])
        return float(low), float(high)

    def _resampled_means(self, values: np.ndarray) -> np.ndarray:
        """Ratio of sums over C clusters drawn with replacement, [resamples]."""
        return (self._weights @ self._sums(values)) / (self._weights @ self.sizes)

    @cached_property
    def _weights(self) -> np.ndarray:
        """How often each cluster is in each resample, [resamples, C]."""
        rng = np.random.default_rng((self.seed, 0))
        return rng.multinomial(self.count, np.full(self.count, 1 / self.count), size=self.resamples).astype(float)

    @cached_property
    def _signs(self) -> np.ndarray:
        """+1 or -1 for each cluster, [flips, C]."""
        rng = np.random.default_rng((self.seed, 1))
        return rng.choice((-1.0, 1.0), size=(self.resamples, self.count))
