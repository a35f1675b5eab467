"""The share of good images: by the judge, by people, and by the judge corrected for its errors.

Prediction-powered inference (Angelopoulos et al. 2023, Science 382:669; with power tuning, PPI++, arXiv 2311.01453)
adds to people's mean over n rated images what the judge says of the N others:

    share = mean_n Y + lambda (mean_N f - mean_n f)

For a judge f that says yes or no, the lambda of least variance, Cov(Y, f) / Var(f) / (1 + n / N), makes it

    share = q p1 + (1 - q) p0      q = mean f over all images,  p_k = mean Y over the rated images with f = k

which is post-stratification. Each of the three shares has an interval of its own that holds near 0 and 1, where the
normal interval of the difference fails: a judge's errors are rare, and none may be among the rated images.
"""

from dataclasses import dataclass

import numpy as np

from cultureclip.statistics import ClusteredItems, Estimate


@dataclass(frozen=True)
class GoodShare:
    """Share of good images, three ways, with 95 % intervals over concepts.

    Attributes:
        judge: By the judge alone. Its errors are in it, so its interval need not hold the truth.
        judge_of_rated: The same over the rated images only. If these are a random sample, both differ by chance only.
        people: By people's ratings alone.
        corrected: By both; people's where the judge says the same of all images that people rated.
        power: PPI++'s lambda: how much the judge is listened to; 0 not at all.
        rated: Images that people rated and the judge decided.
        images: Images that the judge decided.
    """

    judge: Estimate
    judge_of_rated: Estimate
    people: Estimate
    corrected: Estimate
    power: float
    rated: int
    images: int


def estimate_good_share(says_good: np.ndarray, clusters: np.ndarray, rated: np.ndarray, good: np.ndarray) -> GoodShare:
    """Estimate the share of good images among images like these.

    The rated images must be a random sample of all. Concepts are taken as drawn from concepts like them.

    Args:
        says_good: The judge's verdict on each image, bool [images].
        clusters: Concept of each image, [images].
        rated: Places of the images that people rated, int [n], at least one.
        good: Whether people find these good, bool [n].
    """
    verdicts, truth, concepts = says_good.astype(float), good.astype(float), np.asarray(clusters, dtype=str)
    judge = ClusteredItems(concepts).estimate_mean(verdicts)
    of_rated = ClusteredItems(concepts[rated])
    judge_of_rated, people = of_rated.estimate_mean(verdicts[rated]), of_rated.estimate_mean(truth)
    counts = {"rated": len(rated), "images": len(verdicts)}
    if np.ptp(verdicts[rated]) == 0:
        return GoodShare(judge, judge_of_rated, people, people, 0.0, **counts)
    _, index = np.unique(concepts, return_inverse=True)
    yes, no = (verdicts[rated] == said for said in (1, 0))
    parts = [_Share(truth[yes], index[rated][yes]), _Share(truth[no], index[rated][no]), _Share(verdicts, index)]
    first, second, third = (part.estimate.value for part in parts)
    weights = np.array([third, 1 - third, first - second])
    return GoodShare(
        judge,
        judge_of_rated,
        people,
        _combine(third * first + (1 - third) * second, parts, weights, int(index.max()) + 1),
        (first - second) * (1 - len(rated) / len(verdicts)),
        **counts,
    )


class _Share:
    """A share over clustered items: its interval, and how much each cluster moves it.

    Args:
        values: 0 or 1, [items].
        index: Number of each item's cluster, [items].
    """

    def __init__(self, values: np.ndarray, index: np.ndarray) -> None:
        self.values, self.index = values, index
        self.estimate = ClusteredItems(index).estimate_mean(values)

    def influence(self, count: int) -> np.ndarray:
        """Return what leaving out each cluster takes from the share, [count]; 0 where a cluster is all there is."""
        sums = np.bincount(self.index, self.values - self.estimate.value, minlength=count)
        rest = len(self.index) - np.bincount(self.index, minlength=count)
        return np.where(rest > 0, sums / np.maximum(rest, 1), 0.0)


def _combine(value: float, parts: list[_Share], weights: np.ndarray, count: int) -> Estimate:
    """Combine the parts' intervals into that of their function, whose derivatives the weights are.

    The distances of the parts' limits from their values add as standard errors do, with their correlations over
    clusters (method of variance estimates recovery: Zou and Donner 2008, Statistics in Medicine 27:1693).
    """
    influences = np.stack([part.influence(count) for part in parts])
    spread = np.sqrt(np.square(influences).sum(1))
    unit = influences / np.where(spread > 0, spread, 1)[:, None]
    correlation = unit @ unit.T
    np.fill_diagonal(correlation, 1.0)
    down = np.array([part.estimate.value - part.estimate.low for part in parts])
    up = np.array([part.estimate.high - part.estimate.value for part in parts])
    below = weights * np.where(weights >= 0, down, up)  # a part with a negative weight lowers the value by rising
    above = weights * np.where(weights >= 0, up, down)
    low = value - np.sqrt(max(0.0, below @ correlation @ below))
    high = value + np.sqrt(max(0.0, above @ correlation @ above))
    return Estimate(float(value), max(0.0, float(low)), min(1.0, float(high)))
