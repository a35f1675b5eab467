"""How often the intervals of the variance decomposition hold the truth.

    python bench/variance_coverage.py [--draws 1000]

Experiments are drawn with a known truth: 5 draws of the data with 3 seeds each, answers to n questions about concepts,
two each. On a probit scale a concept has a level of its own (standard deviation 0.65: correlation 0.3 between its
questions), each draw moves all questions and each concept by normal amounts, and each seed moves all questions.
Truth of the mean: the mean over all draws, seeds and concepts. Truth of the components: the variances of one training's
score over new draws and new seeds on these concepts, and over new concepts. Scores are drawn at rates near 0 and 1, and
differences of two models that know the same concepts. Budget: 93 to 97 %. A share of 1,000 experiments is known to
about +-1.4 points. "questions only" is the interval of the scores table, which does not know of draws: it is there for
comparison. Prints tables and one JSON object.
"""

import argparse
import json

import numpy as np
from scipy.stats import norm

from cultureclip.scoring.variance import decompose

SIZES = (30, 300)
RATES = ((0.03,), (0.5,), (0.97,), (0.03, 0.06), (0.5, 0.6), (0.94, 0.97))
"""One model's rate, or those of two whose difference is taken."""
SPREADS = {"large": (0.3, 0.15), "small": (0.1, 0.1), "none": (0.0, 0.1)}
"""Standard deviations of draws and of seeds on the probit scale."""
DRAWS, SEEDS, PER_CONCEPT = 5, 3, 2
CONCEPT, CONCEPT_BY_DRAW = 0.65, 0.2
PARTS = ("mean", "questions only", "data", "seed", "questions")
GRID = norm.ppf((np.arange(50) + 0.5) / 50)
FINE = norm.ppf((np.arange(400) + 0.5) / 400)


def total_sd(spread: float, seed: float) -> float:
    """Standard deviation of a latent value, less what is the answer's own."""
    return float(np.sqrt(1 + spread**2 + seed**2 + CONCEPT**2 + CONCEPT_BY_DRAW**2))


def draw_credit(levels: np.ndarray, spread: float, seed: float, rng: np.random.Generator) -> np.ndarray:
    """Credit [draws, seeds, items] of a model whose concepts have these levels."""
    of_draw = spread * rng.normal(size=(DRAWS, 1, 1)) + CONCEPT_BY_DRAW * rng.normal(size=(DRAWS, 1, len(levels)))
    latent = levels + of_draw + seed * rng.normal(size=(DRAWS, SEEDS, 1))
    chances = np.repeat(norm.cdf(latent), PER_CONCEPT, axis=2)
    return (rng.random(chances.shape) < chances).astype(float)


def true_variances(levels: np.ndarray, spread: float, seed: float) -> np.ndarray:
    """Variances of one training's score on these concepts: over draws, and over seeds with the answers' own chance."""
    count = len(levels)
    shrink = np.sqrt(1 + CONCEPT_BY_DRAW**2)
    given = norm.cdf((levels + spread * GRID[:, None, None] + seed * GRID[None, :, None]) / shrink).mean(2)
    moved = norm.cdf(levels[:, None] + CONCEPT_BY_DRAW * GRID)  # each draw moves each concept: the data's chance, too
    data = given.mean(1).var() + moved.var(1).mean() / count
    rate = norm.cdf(levels / np.sqrt(shrink**2 + spread**2 + seed**2))
    answers = (rate * (1 - rate) - moved.var(1)).mean() / (count * PER_CONCEPT)
    return np.array([data, given.var(1).mean() + answers])


def measure(rates: tuple[float, ...], items: int, name: str, draws: int) -> np.ndarray:
    """Coverage of each of PARTS."""
    spread, seed = SPREADS[name]
    count = items // PER_CONCEPT
    rng = np.random.default_rng((*(int(1000 * rate) for rate in rates), items, list(SPREADS).index(name)))
    means = [norm.ppf(rate) * total_sd(spread, seed) for rate in rates]
    signs = (1,) if len(rates) == 1 else (-1, 1)
    scale = np.sqrt(1 + spread**2 + seed**2 + CONCEPT_BY_DRAW**2)
    by_concept = sum(s * norm.cdf((m + CONCEPT * FINE) / scale) for s, m in zip(signs, means, strict=True))
    truth, of_concepts = sum(s * r for s, r in zip(signs, rates, strict=True)), float(np.var(by_concept) / count)
    clusters, hits = np.repeat(np.arange(count), PER_CONCEPT), np.zeros(len(PARTS))
    for _ in range(draws):
        own = CONCEPT * rng.normal(size=count)
        values = sum(s * draw_credit(m + own, spread, seed, rng) for s, m in zip(signs, means, strict=True))
        data, of_seed = sum(true_variances(m + own, spread, seed) for m in means)
        found = decompose(values, clusters, is_difference=len(rates) > 1)
        parts = (found.mean, found.questions_only, found.data, found.seed, found.questions)
        truths = (truth, truth, data, of_seed, of_concepts)
        hits += [part.low <= true <= part.high for part, true in zip(parts, truths, strict=True)]
    return hits / draws


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000)
    draws = parser.parse_args().draws
    result: dict[str, object] = {"draws": draws, "budget": [0.93, 0.97]}
    print("  n  rates        draws' spread" + "".join(f"{part:>16}" for part in PARTS))
    for items in SIZES:
        found = {(rates, name): measure(rates, items, name, draws) for rates in RATES for name in SPREADS}
        for (rates, name), hits in found.items():
            shown = ", ".join(f"{rate:.2f}" for rate in rates)
            print(f"{items:3}  {shown:12} {name:13}" + "".join(f"{hit:16.3f}" for hit in hits), flush=True)
        for place, part in enumerate(PARTS):
            shares = [float(hits[place]) for hits in found.values()]
            result[f"{part}_{items}"] = [min(shares), max(shares)]
    print(json.dumps(result))


if __name__ == "__main__":
    main()
