"""Intervals of an audit: questions and their wordings are both samples of what could have been asked.

Every question is asked in every wording, so answers share a question with some answers and a wording with others. The
variance is the two-way cluster-robust one (Cameron, Gelbach and Miller 2011, Journal of Business & Economic Statistics
29:238): V = V_questions + V_wordings - V_cells, each the delete-one-cluster jackknife's of ``statistics.py``, and never
less than the larger of the first two. Its t quantile is Cochran and Cox's (1950, Experimental Designs): those of the
wordings and of the questions, weighted by what each adds to V. Satterthwaite's degrees of freedom would be estimated
from the variance of few wordings, too: where these happen to agree, the interval is too narrow for two reasons at once.
``bench/audit_coverage.py`` measures how often these intervals hold the truth.
"""

from collections.abc import Callable

import numpy as np
from scipy.stats import norm, t
from statsmodels.stats.proportion import proportion_confint

from cultureclip.statistics import LEVEL, ClusteredItems, Estimate

_NO_SPREAD = 1e-9


class CrossedItems:
    """Answers, each of a question in a wording; an interval is over both.

    Args:
        questions: Question of each answer, [N].
        wordings: Its wording, [N].
        weights: Weight of each answer, [N]; by default all alike.
    """

    def __init__(self, questions: np.ndarray, wordings: np.ndarray, weights: np.ndarray | None = None) -> None:
        asked, worded = np.asarray(questions, dtype=str), np.asarray(wordings, dtype=str)
        cells = np.unique(np.stack([asked, worded], axis=1), axis=0, return_inverse=True)[1].reshape(-1)
        self._questions, self._wordings, self._cells = (
            ClusteredItems(clusters, weights) for clusters in (asked, worded, cells)
        )

    def mean(self, values: np.ndarray) -> float:
        """Return the weighted mean."""
        return self._questions.mean(values)

    def estimate_mean(self, values: np.ndarray) -> Estimate:
        """Return the weighted mean and its Wilson interval at the effective sample size.

        One question says nothing of others: its interval is [0, 1]. One wording says nothing of others either, and the
        interval is then over questions alone, as is that of answers which do not differ at all.

        Args:
            values: In [0, 1], [N].
        """
        value = self.mean(values)
        if self._questions.count < 2:
            return Estimate(value, 0.0, 1.0)
        if self._wordings.count < 2 or self._spread(values)[0] < _NO_SPREAD**2:
            return self._questions.estimate_mean(values)
        variance, quantile = self._spread(values)
        return _wilson(value, value * (1 - value) / variance, quantile)

    def estimate_difference(self, values: np.ndarray, reference: np.ndarray) -> Estimate:
        """Return the weighted mean of paired differences and its t interval.

        Args:
            values: In [0, 1], [N].
            reference: In [0, 1], of the same questions and wordings.
        """
        difference = values - reference
        if self._wordings.count < 2 or self._questions.count < 2 or self._spread(difference)[0] < _NO_SPREAD**2:
            return self._questions.estimate_difference(values, reference)
        value = self.mean(difference)
        variance, quantile = self._spread(difference)
        width = quantile * np.sqrt(variance)
        return Estimate(value, max(-1.0, float(value - width)), min(1.0, float(value + width)))

    def _spread(self, values: np.ndarray) -> tuple[float, float]:
        """Return the variance of the mean and its t quantile."""
        questions, wordings, cells = (
            items.standard_error(values) ** 2 for items in (self._questions, self._wordings, self._cells)
        )
        variance = max(questions + wordings - cells, questions, wordings)
        share = min(1.0, wordings / variance) if variance else 1.0
        return variance, share * _quantile(self._wordings.count) + (1 - share) * _quantile(self._questions.count)


def estimate_mean(values: np.ndarray, clusters: np.ndarray) -> Estimate:
    """Return the mean and its Wilson interval over clusters, of which a rare kind may not have been seen.

    Near 0 and 1 the clusters that decide the mean are few. A sample may hold none that is wrong altogether, only small
    errors that seem to say much. So the effective sample size is at most that of the sample with two further clusters
    of half the mean weight, one of 0 and one of 1, as Agresti and Coull (1998) add to counts. The value is not moved.

    Args:
        values: In [0, 1], [N].
        clusters: The cluster of each, [N].
    """
    items = ClusteredItems(clusters)
    if items.count < 2:
        return items.estimate_mean(values)
    half = items.cluster_weights.mean() / 2
    more = ClusteredItems(np.append(items.index, [-1, -2]), np.append(items.weights, [half, half]))
    sizes = [_effective_size(items, values), _effective_size(more, np.append(values, [0.0, 1.0]))]
    return _wilson(items.mean(values), min(sizes), _quantile(items.count))


def jackknife(value: float, left_out: np.ndarray) -> Estimate | None:
    """Return a t interval from the values of a statistic with each unit left out in turn.

    Args:
        value: The statistic of all C units.
        left_out: The statistic without each unit, [C].

    Returns:
        The interval; None for fewer than two units, or where no unit makes a difference: then nothing tells how much
        the statistic would vary.
    """
    count = len(left_out)
    if count < 2:
        return None
    error = np.sqrt((count - 1) / count * np.square(left_out - left_out.mean()).sum())
    if error < _NO_SPREAD:
        return None
    width = -t.ppf((1 - LEVEL) / 2, count - 1) * error
    return Estimate(value, float(value - width), float(value + width))


def transform(estimate: Estimate, function: Callable[[float], float]) -> Estimate:
    """Return an interval on another scale, on which a monotonic function puts its value and its ends."""
    value, *ends = (float(function(number)) for number in (estimate.value, estimate.low, estimate.high))
    return Estimate(value, min(ends), max(ends))


def _effective_size(items: ClusteredItems, values: np.ndarray) -> float:
    value, error = items.mean(values), items.standard_error(values)
    return value * (1 - value) / error**2 if error > _NO_SPREAD else items.effective_clusters


def _wilson(value: float, size: float, quantile: float) -> Estimate:
    """Return Wilson's interval at an effective sample size, with a t quantile (Korn and Graubard 1998)."""
    size *= (norm.ppf((1 + LEVEL) / 2) / quantile) ** 2
    low, high = proportion_confint(value * size, size, alpha=1 - LEVEL, method="wilson")
    return Estimate(value, max(0.0, float(low)), min(1.0, float(high)))


def _quantile(clusters: int) -> float:
    return float(t.ppf((1 + LEVEL) / 2, clusters - 1))
