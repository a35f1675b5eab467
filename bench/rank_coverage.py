"""How often the confidence sets of ranks hold the true ranks, of all models at once.

    python bench/rank_coverage.py [--draws 1000]

Six models answer n questions about concepts with a rate of their own, correlated over the models, as in
``coverage.py``. Their true rates lie around a middle of 3, 50 or 97 %: all the same (then every rank must be in every
set), in pairs, or all different. A draw is a hit where each model's set holds its true rank; of tied models it must
hold all ranks that they share. Also with a third of the answers missing at random questions for each model. Compared
are the rank by value alone, all pairs' t tests at 5 % without correction, the studentised bootstrap of the largest
difference (Mogstad et al. 2024, one step, 500 resamples of concepts, answers without gaps), and ours. Budget: ours 93 %
or more; it is conservative by design. A share of 1,000 draws is known to about +-1.4 points. Prints a table and, as its
last line, one JSON object.
"""

import argparse
import json

import numpy as np
from coverage import clusters_of, draw_two
from scipy.stats import t

from cultureclip.scoring.ranks import RankedItems, rank_models

CONCEPTS = {30: 12, 300: 100}
"""Questions, about -> concepts: one to five questions each."""
MODELS, RESAMPLES, MISSING = 6, 500, 1 / 3
SHAPES = {"all the same": (0, 0, 0, 0, 0, 0), "pairs": (-2, -2, 0, 0, 2, 2), "different": (-3, -2, -1, 1, 2, 3)}
"""Steps of a model's rate from the middle."""
STEPS = {0.03: 0.008, 0.5: 0.05, 0.97: 0.008}
METHODS = ("by value", "pairs, 5 %", "largest", "ours")


def true_ranks(rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the best and the worst rank of each model: they differ among tied ones."""
    above = (rates[None] > rates[:, None] + 1e-12).sum(1)
    below = (rates[None] < rates[:, None] - 1e-12).sum(1)
    return 1 + above, len(rates) - below


def sets_of(better: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return lowest and highest ranks, from [j, k]: j is shown to be better than k."""
    return 1 + better.sum(0), len(better) - better.sum(1)


class Rivals:
    """The other methods, on answers without gaps."""

    def __init__(self, clusters: np.ndarray) -> None:
        self.clusters, self.count = clusters, clusters[-1] + 1
        self.sizes = np.bincount(clusters)
        rng = np.random.default_rng(0)
        self.drawn = rng.multinomial(self.count, np.full(self.count, 1 / self.count), size=RESAMPLES).astype(float)

    def better(self, credit: np.ndarray) -> dict[str, np.ndarray]:
        """Return method -> [j, k]."""
        sums = np.stack([np.bincount(self.clusters, column) for column in credit.T])
        pairs = (sums[:, None] - sums[None]).reshape(MODELS**2, self.count)
        means = pairs.sum(1) / self.sizes.sum()
        residuals = pairs - means[:, None] * self.sizes
        error = np.sqrt((self.count - 1) / self.count * np.square(residuals / (len(credit) - self.sizes)).sum(1))
        statistic = np.divide(means, error, out=np.zeros_like(means), where=error > 1e-9)
        totals = self.drawn @ self.sizes
        again = self.drawn @ pairs.T / totals[:, None]
        spread = np.sqrt(np.maximum(self.drawn @ np.square(pairs.T), 0)) / totals[:, None]
        largest = np.divide(again - means, spread, out=np.zeros_like(again), where=spread > 1e-9).max(1)
        found = {
            "by value": means > 0,
            "pairs, 5 %": statistic > t.ppf(0.975, self.count - 1),
            "largest": statistic > np.quantile(largest, 0.95),
        }
        return {name: better.reshape(MODELS, MODELS) for name, better in found.items()}


def measure(size: int, middle: float, shape: str, gaps: bool, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Return coverage of all ranks at once, and the mean number of ranks in a set, of each of METHODS."""
    clusters = clusters_of(CONCEPTS[size])
    rates = middle + STEPS[middle] * np.array(SHAPES[shape])
    best, worst = true_ranks(rates)
    rng = np.random.default_rng((size, int(100 * middle), list(SHAPES).index(shape), gaps))
    rivals, hits, widths = Rivals(clusters), np.zeros(len(METHODS)), np.zeros(len(METHODS))
    for _ in range(draws):
        credit = np.stack(list(draw_two(tuple(rates), clusters, rng)), axis=1)
        asked = np.where(rng.random(credit.shape) < MISSING, np.nan, credit) if gaps else credit
        items = RankedItems(asked, clusters.astype(str), np.zeros(len(clusters)), np.ones(len(clusters)))
        ours = [(rank.low, rank.high) if rank else (1, MODELS) for rank in rank_models(items)]
        sets = {name: sets_of(better) for name, better in rivals.better(credit).items()}
        sets["ours"] = tuple(np.array(ours).T)
        for place, method in enumerate(METHODS):
            low, high = sets[method]
            hits[place] += np.all((low <= best) & (worst <= high))
            widths[place] += np.mean(high - low + 1)
    return hits / draws, widths / draws


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000)
    draws = parser.parse_args().draws
    result: dict[str, object] = {"draws": draws, "budget": 0.93}
    head = "".join(f"{name:>11}" for name in METHODS)
    print(f"  n  middle  rates        {head} | ranks in a set\n")
    for size in CONCEPTS:
        for gaps in (False, True):
            found = {}
            for middle in STEPS:
                for shape in SHAPES:
                    hits, widths = found[middle, shape] = measure(size, middle, shape, gaps, draws)
                    row = "".join(f"{x:11.3f}" for x in hits) + " |" + "".join(f"{x:7.2f}" for x in widths)
                    print(f"{size:3} {middle:7.2f}  {shape:12} {row}{'  with gaps' if gaps else ''}", flush=True)
            least, mean = (np.array([f[i] for f in found.values()]) for i in (0, 1))
            name = f"{size}{'_gaps' if gaps else ''}"
            result[f"coverage_{name}"] = dict(zip(METHODS, least.min(0).tolist(), strict=True))
            result[f"ranks_{name}"] = dict(zip(METHODS, mean.mean(0).round(2).tolist(), strict=True))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
