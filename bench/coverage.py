"""How often our 95 % intervals contain the truth, and how often our test finds a difference where there is none.

    python bench/coverage.py [--draws 1000]

Benchmarks are drawn with a known truth: concepts with an accuracy of their own (beta distributed around the overall
one, correlation 0.3 between questions of a concept), one to five questions each. Budget: 93 to 97 % of the intervals
contain the truth; the test at 5 % rejects at most 6.5 % of true null hypotheses. With 1,000 draws such a share is known
to about +-1.4 points. The cluster bootstrap (expanded percentile) is there for comparison. Prints tables and, as its
last line, one JSON object.
"""

import argparse
import json
from collections.abc import Iterator

import numpy as np
from scipy.stats import beta, norm, t

from cultureclip.statistics import ClusteredItems

COUNTS = (30, 100, 400)
ACCURACIES = (0.25, 0.5, 0.75, 0.9)
PAIRS = ((0.5, 0.5), (0.5, 0.6), (0.75, 0.8), (0.9, 0.93))
CORRELATION = 0.3
SHARED = 0.7
"""Correlation of what a concept's accuracy is by two models."""
FLIPS = 1000


def clusters_of(count: int) -> np.ndarray:
    sizes = np.random.default_rng(count).integers(1, 6, count)
    return np.repeat(np.arange(count), sizes)


def ability(level: float, ranks: np.ndarray) -> np.ndarray:
    spread = 1 / CORRELATION - 1
    return beta.ppf(ranks, level * spread, (1 - level) * spread)


def draw_one(level: float, clusters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    own = ability(level, rng.random(clusters[-1] + 1))
    return (rng.random(len(clusters)) < own[clusters]).astype(float)


def draw_two(levels: tuple[float, float], clusters: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    count = clusters[-1] + 1
    shared = rng.normal(size=count)
    for level in levels:
        latent = np.sqrt(SHARED) * shared + np.sqrt(1 - SHARED) * rng.normal(size=count)
        yield (rng.random(len(clusters)) < ability(level, norm.cdf(latent))[clusters]).astype(float)


class Bootstrap:
    """Expanded percentile interval (Hesterberg 2015) over clusters."""

    def __init__(self, clusters: np.ndarray, resamples: int = 1000) -> None:
        self.index, self.count = clusters, clusters[-1] + 1
        rng = np.random.default_rng(0)
        self.drawn = rng.multinomial(self.count, np.full(self.count, 1 / self.count), size=resamples).astype(float)
        self.sizes = self.drawn @ np.bincount(clusters)
        factor = np.sqrt(self.count / (self.count - 1))
        self.tail = norm.cdf(factor * t.ppf(0.025, self.count - 1))

    def interval(self, values: np.ndarray) -> tuple[float, float]:
        means = self.drawn @ np.bincount(self.index, weights=values) / self.sizes
        low, high = np.quantile(means, [self.tail, 1 - self.tail])
        return float(low), float(high)


def measure_means(count: int, level: float, draws: int) -> tuple[float, float]:
    """Coverage of ours and of the bootstrap."""
    clusters, rng = clusters_of(count), np.random.default_rng((count, int(1000 * level)))
    items, bootstrap, hits = ClusteredItems(clusters), Bootstrap(clusters), np.zeros(2)
    for _ in range(draws):
        values = draw_one(level, clusters, rng)
        ours, (low, high) = items.estimate_mean(values), bootstrap.interval(values)
        hits += (ours.low <= level <= ours.high, low <= level <= high)
    return tuple(hits / draws)


def measure_pairs(count: int, levels: tuple[float, float], draws: int) -> tuple[float, float, float]:
    """Coverage of ours and of the bootstrap for the difference, and how often the sign-flip test has p <= 0.05."""
    clusters, rng = clusters_of(count), np.random.default_rng((count, *(int(1000 * level) for level in levels)))
    items, bootstrap, hits = ClusteredItems(clusters), Bootstrap(clusters), np.zeros(3)
    signs, truth = items.draw_signs(FLIPS, 0), levels[1] - levels[0]
    for _ in range(draws):
        base, tuned = draw_two(levels, clusters, rng)
        ours, (low, high) = items.estimate_difference(tuned, base), bootstrap.interval(tuned - base)
        p_value = items.test_difference(tuned, base, signs)
        hits += (ours.low <= truth <= ours.high, low <= truth <= high, p_value <= 0.05)
    return tuple(hits / draws)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000)
    draws = parser.parse_args().draws
    result: dict[str, object] = {"draws": draws, "budget": [0.93, 0.97]}
    print("clusters  accuracy      ours  bootstrap")
    for count in COUNTS:
        found = {level: measure_means(count, level, draws) for level in ACCURACIES}
        for level, shares in found.items():
            print(f"{count:8} {level:9.2f} {shares[0]:9.3f} {shares[1]:10.3f}")
        result[f"mean_{count}"] = [min(s[0] for s in found.values()), max(s[0] for s in found.values())]
        result[f"bootstrap_mean_{count}"] = [min(s[1] for s in found.values()), max(s[1] for s in found.values())]
    print("clusters  accuracies    ours  bootstrap  p <= 0.05")
    for count in COUNTS:
        paired = {levels: measure_pairs(count, levels, draws) for levels in PAIRS}
        for levels, (ours, other, rejected) in paired.items():
            print(f"{count:8} {levels[0]:.2f} {levels[1]:.2f} {ours:11.3f} {other:10.3f} {rejected:10.3f}")
        result[f"difference_{count}"] = [min(s[0] for s in paired.values()), max(s[0] for s in paired.values())]
        result[f"bootstrap_difference_{count}"] = [
            min(s[1] for s in paired.values()),
            max(s[1] for s in paired.values()),
        ]
        result[f"false_alarms_{count}"] = paired[PAIRS[0]][2]
    print(json.dumps(result))


if __name__ == "__main__":
    main()
