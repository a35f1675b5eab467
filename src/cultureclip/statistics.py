"""Intervals and tests over items that come in clusters: questions about one concept are not independent.

An item's value is averaged over seeds first. Concepts, not items, are left out in turn or have their sign flipped.

A cluster bootstrap (expanded percentile, Hesterberg 2015) is too narrow where there are few concepts and nearly all
answers are right: with 30 concepts, 90 % right, its 95 % interval held the truth in 90.5 % of simulated benchmarks, the
one used here in 93.3 %. ``bench/coverage.py`` measures both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.stats import norm, t
from statsmodels.stats.proportion import proportion_confint

LEVEL = 0.95
POWER = 0.8
_BLOCKS = 10
_Z = norm.ppf((1 - LEVEL) / 2)


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval.

    Attributes:
        value: The estimate.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference(Estimate):
    """A paired difference.

    Attributes:
        detectable: The true difference that a test at 5 % (two-sided) would find with 80 % power on as many items; NaN
            where no two clusters say how much differences vary.
    """

    detectable: float = np.nan


class ClusteredItems:
    """Items, their clusters and weights: built once for every set of items, and asked about every model.

    The standard error is the delete-one-cluster jackknife's: with u_c = S_c - m W_c (S_c the weighted sum of a
    cluster's values, W_c its weight, W all weight, m the mean, C clusters),

        se^2 = (C - 1) / C * sum_c (u_c / (W - W_c))^2

    which is the cluster-robust variance "CR3" of a mean (Cameron and Miller 2015, Journal of Human Resources 50:317).

    Args:
        clusters: The cluster of each item, [items].
        weights: Weight of each item, [items]; by default all alike. Weights of one over the size of an item's group
            make the mean a macro average.
    """

    def __init__(self, clusters: np.ndarray, weights: np.ndarray | None = None) -> None:
        # By hashing: np.unique sorts the names of all items.
        self.index, names = pd.factorize(np.asarray(clusters, dtype=str).astype(object), sort=True)
        self.count = len(names)
        self.weights = np.ones(len(self.index)) if weights is None else np.asarray(weights, float)
        self.cluster_weights = self._sums(np.ones(len(self.index)))

    def estimate_mean(self, values: np.ndarray) -> Estimate:
        """Return weighted mean and its Wilson interval at the effective sample size.

        n_eff = m (1 - m) / se^2, and t quantiles with C - 1 degrees instead of normal ones (Korn and Graubard 1998,
        Survey Methodology 24:193, who scale n_eff by (z / t)^2). Where no cluster differs from another (all right, all
        wrong), n_eff is the effective number of clusters: that many agreeing concepts say no more.

        Args:
            values: In [0, 1], [items].
        """
        value = self.mean(values)
        if self.count < 2:
            return Estimate(value, 0.0, 1.0)
        error = self.standard_error(values)
        size = value * (1 - value) / error**2 if error > 1e-9 else self.effective_clusters
        size *= (_Z / self._t_quantile) ** 2
        low, high = proportion_confint(value * size, size, alpha=1 - LEVEL, method="wilson")
        return Estimate(value, max(0.0, float(low)), min(1.0, float(high)))

    def estimate_difference(self, values: np.ndarray, reference: np.ndarray) -> Difference:
        """Return weighted mean of paired differences and its t interval.

        Where the models agree on every item the jackknife has no spread; the interval is then the Clopper-Pearson
        bound on the share of clusters that could differ.

        Args:
            values: One model's, [items].
            reference: The other's on the same items.
        """
        difference = values - reference
        value = self.mean(difference)
        if self.count < 2:
            return Difference(value, -1.0, 1.0)
        error = self.standard_error(difference)
        if error > 1e-9:
            width = -self._t_quantile * error
            detectable = float(width + self._t_power * error)
        else:
            width = proportion_confint(0, self.effective_clusters, alpha=1 - LEVEL, method="beta")[1]
            detectable = np.nan
        return Difference(value, max(-1.0, float(value - width)), min(1.0, float(value + width)), detectable)

    def draw_signs(self, flips: int, seed: int) -> np.ndarray:
        """Draw +1 or -1 per cluster, int8 [flips, C], once, so that models are compared on the same draws."""
        rng = np.random.default_rng(seed)
        return rng.integers(0, 2, size=(flips, self.count), dtype=np.int8) * np.int8(2) - np.int8(1)

    def test_difference(self, values: np.ndarray, reference: np.ndarray, signs: np.ndarray) -> float:
        """Return p-value of a sign-flip test of the weighted mean difference.

        Under the null hypothesis that neither model is better, both signs of each cluster's sum of differences are
        equally likely. p = (1 + #{|T*| >= |T|}) / (1 + flips).

        Args:
            values: One model's, [items].
            reference: The other's on the same items.
            signs: Signs from :meth:`draw_signs`.
        """
        return float(self.test_differences([(values, reference)], signs)[0])

    def test_differences(self, pairs: Sequence[tuple[np.ndarray, np.ndarray]], signs: np.ndarray) -> np.ndarray:
        """Return the p-values of :meth:`test_difference` for many pairs of models, [pairs], in one product of matrices.

        Args:
            pairs: Values of one model and of its reference, each [items].
            signs: Signs from :meth:`draw_signs`.
        """
        if not pairs:
            return np.empty(0)
        sums = np.stack([self._sums(values - reference) for values, reference in pairs], axis=1)
        observed = np.abs(sums.sum(axis=0)) - 1e-9
        extreme = np.zeros(len(pairs), dtype=np.int64)
        for block in np.array_split(signs, _BLOCKS):
            extreme += (np.abs(block.astype(float) @ sums) >= observed).sum(axis=0)
        return (1 + extreme) / (1 + len(signs))

    def mean(self, values: np.ndarray) -> float:
        """Return weighted mean over items."""
        return float(self._sums(values).sum() / self.cluster_weights.sum())

    def standard_error(self, values: np.ndarray) -> float:
        """Return the jackknife's standard error of the weighted mean; needs two clusters."""
        residuals = self._sums(values) - self.mean(values) * self.cluster_weights
        left = self.cluster_weights.sum() - self.cluster_weights
        return float(np.sqrt((self.count - 1) / self.count * np.square(residuals / left).sum()))

    def count_differing(self, difference: np.ndarray) -> int:
        """Return how many clusters have a weighted sum of differences other than zero."""
        return int((np.abs(self._sums(difference)) > 1e-12).sum())

    @cached_property
    def effective_clusters(self) -> float:
        """How many clusters of equal weight say as much as these (Kish 1965): (sum W_c)^2 / sum W_c^2."""
        return float(self.cluster_weights.sum() ** 2 / np.square(self.cluster_weights).sum())

    @cached_property
    def _t_quantile(self) -> float:
        return float(t.ppf((1 - LEVEL) / 2, self.count - 1))

    @cached_property
    def _t_power(self) -> float:
        return float(t.ppf(POWER, self.count - 1))

    def _sums(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.index, weights=self.weights * values, minlength=self.count)
