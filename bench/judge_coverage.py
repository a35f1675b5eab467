"""How often a judge's corrected share of good images holds the truth, and how often its threshold keeps its error rate.

    python bench/judge_coverage.py [--draws 1000]

Images are drawn with a known truth: 150 concepts with 1 to 19 images each, each concept with a share of good images of
its own (beta distributed around the rate, correlation 0.3 within a concept), and a judge whose rates of right answers
differ between concepts, too (correlation 0.2). People rate n of these images: drawn at random, or all from few concepts
(three images of each of ten, five of each of sixty). Compared are the judge alone, people alone (Wilson at the
effective sample size), PPI++ as published (normal interval, images taken as independent), and the corrected share.
Budget: the corrected share's 95 % interval contains the truth in 93 % of draws or more. A share of 1,000 draws is known
to about +-1.4 points. Then thresholds: the share of draws in which more than the target of the accepted (or refused)
images are wrong in truth; budget: at most 5 %, what the confidence of 95 % allows. Prints tables and, as its last line,
one JSON object.
"""

import argparse
import json
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from cultureclip.judging.calibration.settings import ThresholdSettings
from cultureclip.judging.calibration.threshold import GRID, find_accepting, find_refusing
from cultureclip.prediction_powered import estimate_good_share

RATES = (0.03, 0.5, 0.97)
SIZES = (30, 300)
JUDGES = {"good": (0.95, 0.9), "poor": (0.75, 0.6)}
"""Share of good images that it accepts, of bad ones that it refuses."""
CONCEPTS, CORRELATION, JUDGE_CORRELATION = 150, 0.3, 0.2
METHODS = ("judge", "people", "ppi", "corrected")
TARGET = ThresholdSettings(target_error=0.1, confidence=0.95)
LEVELS = {"good": ((2.0, 0.7), (4.3, 0.5)), "poor": ((2.8, 0.8), (3.8, 0.8))}
"""Mean and spread of a judge's score of bad images, and of good ones."""


def own_shares(mean: float, correlation: float, rng: np.random.Generator) -> np.ndarray:
    spread = 1 / correlation - 1
    return rng.beta(mean * spread, (1 - mean) * spread, CONCEPTS)


@dataclass
class Drawn:
    clusters: np.ndarray
    good: np.ndarray
    says_good: np.ndarray


def draw_images(rate: float, judge: tuple[float, float], rng: np.random.Generator) -> Drawn:
    clusters = np.repeat(np.arange(CONCEPTS), rng.integers(1, 20, CONCEPTS))
    good = rng.random(len(clusters)) < own_shares(rate, CORRELATION, rng)[clusters]
    accepts, refuses = (own_shares(share, JUDGE_CORRELATION, rng)[clusters] for share in judge)
    says_good = rng.random(len(clusters)) < np.where(good, accepts, 1 - refuses)
    return Drawn(clusters, good, says_good)


def draw_rated(clusters: np.ndarray, size: int, few: bool, rng: np.random.Generator) -> np.ndarray:
    """Places of the images that people rate."""
    if not few:
        return rng.choice(len(clusters), size, replace=False)
    each = 3 if size < 100 else 5
    places = [np.flatnonzero(clusters == c) for c in rng.permutation(CONCEPTS)]
    return np.concatenate([rng.choice(p, each, replace=False) for p in places if len(p) >= each][: size // each])


def published_interval(drawn: Drawn, rated: np.ndarray) -> tuple[float, float]:
    """PPI++ of a mean: power tuning, independent images, normal interval."""
    truth, said = drawn.good[rated].astype(float), drawn.says_good[rated].astype(float)
    others = np.delete(drawn.says_good.astype(float), rated)
    n, more = len(rated), len(others)
    variance = np.var(np.r_[said, others])
    power = np.cov(truth, said)[0, 1] / variance / (1 + n / more) if variance else 0.0
    value = truth.mean() + power * (others.mean() - said.mean())
    error = np.sqrt(np.var(truth - power * said) / n + power**2 * np.var(others) / more)
    width = norm.ppf(0.975) * error
    return max(0.0, value - width), min(1.0, value + width)


def measure_shares(rate: float, size: int, judge: str, few: bool, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Coverage and mean width of each of METHODS."""
    rng = np.random.default_rng((int(1000 * rate), size, list(JUDGES).index(judge), few))
    hits, widths = np.zeros(len(METHODS)), np.zeros(len(METHODS))
    for _ in range(draws):
        drawn = draw_images(rate, JUDGES[judge], rng)
        rated = draw_rated(drawn.clusters, size, few, rng)
        found = estimate_good_share(drawn.says_good, drawn.clusters, rated, drawn.good[rated])
        ours = {"judge": found.judge, "people": found.people, "corrected": found.corrected}
        limits = {name: (e.low, e.high) for name, e in ours.items()} | {"ppi": published_interval(drawn, rated)}
        hits += [limits[m][0] <= rate <= limits[m][1] for m in METHODS]
        widths += [limits[m][1] - limits[m][0] for m in METHODS]
    return hits / draws, widths / draws


def draw_scores(good: np.ndarray, clusters: np.ndarray, judge: str, rng: np.random.Generator) -> np.ndarray:
    """Means of three ratings; a concept's images are all scored a bit too high or too low."""
    means, spreads = np.array(LEVELS[judge]).T
    shift = 0.3 * rng.normal(size=clusters[-1] + 1)[clusters]
    raw = means[good.astype(int)] + shift + spreads[good.astype(int)] * rng.normal(size=len(good))
    return np.clip(np.round(3 * raw), 3, 15) / 3


def true_errors(rate: float, judge: str) -> tuple[np.ndarray, np.ndarray]:
    """Share of bad images among those accepted from each of GRID on, and of good ones among those refused up to it."""
    rng = np.random.default_rng(0)
    clusters = np.arange(400_000)
    good = rng.random(len(clusters)) < rate  # over concepts the share is the rate
    scores = draw_scores(good, clusters, judge, rng)
    bad_above = np.array([np.mean(~good[scores >= limit - 1e-9]) for limit in GRID])
    good_below = np.array([np.mean(good[scores <= limit + 1e-9]) for limit in GRID])
    return bad_above, good_below


def measure_thresholds(rate: float, size: int, judge: str, draws: int) -> np.ndarray:
    """Share of draws with an accepting threshold, with one that breaks its target; the same of refusing thresholds."""
    rng = np.random.default_rng((int(1000 * rate), size, list(JUDGES).index(judge)))
    errors, counts = true_errors(rate, judge), np.zeros(4)
    for _ in range(draws):
        drawn = draw_images(rate, JUDGES[judge], rng)
        scores = draw_scores(drawn.good, drawn.clusters, judge, rng)
        rated = draw_rated(drawn.clusters, size, False, rng)
        sample = (scores[rated], drawn.good[rated], drawn.clusters[rated], TARGET)
        for place, (find, truth) in enumerate(zip((find_accepting, find_refusing), errors, strict=True)):
            score = find(*sample).score
            if score is not None:
                counts[2 * place] += 1
                counts[2 * place + 1] += truth[np.abs(GRID - score).argmin()] > TARGET.target_error
    return counts / draws


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000)
    draws = parser.parse_args().draws
    result: dict[str, object] = {"draws": draws, "budget": {"coverage": 0.93, "broken": 0.05}}
    print("                          coverage" + 28 * " " + "mean width")
    print("rate    n  judge concepts " + 2 * "".join(f"{name:>10}" for name in METHODS))
    for size in SIZES:
        for few in (False, True):
            cases = [(rate, judge) for rate in RATES for judge in JUDGES]
            found = [measure_shares(rate, size, judge, few, draws) for rate, judge in cases]
            for (rate, judge), (hits, widths) in zip(cases, found, strict=True):
                row = "".join(f"{x:10.3f}" for x in (*hits, *widths))
                print(f"{rate:.2f} {size:4}  {judge:5} {'few' if few else 'many':8} {row}", flush=True)
            name = f"{size}_{'few' if few else 'many'}"
            result[f"least_coverage_{name}"] = dict(zip(METHODS, np.min([h for h, _ in found], 0), strict=True))
            result[f"mean_width_{name}"] = dict(
                zip(METHODS, np.round(np.mean([w for _, w in found], 0), 4), strict=True)
            )
    print("\nrate    n  judge    accepting: found  broken   refusing: found  broken")
    broken = []
    for size in SIZES:
        for rate in RATES:
            for judge in JUDGES:
                counts = measure_thresholds(rate, size, judge, draws)
                row = "{:17.3f} {:7.3f} {:17.3f} {:7.3f}".format(*counts)
                print(f"{rate:.2f} {size:4}  {judge:5} {row}", flush=True)
                broken += [counts[1], counts[3]]
    result["most_broken"] = max(broken)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
