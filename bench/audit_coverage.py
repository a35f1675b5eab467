"""How often the intervals of the audit of a chat model contain the truth.

    python bench/audit_coverage.py [--draws 1000]

Answers are drawn with a known truth. Questions have an effect of their own (correlation 0.3 between answers to one
question), and so have wordings (0.05; 0.15 in the rows marked "strong"): a latent normal value is cut so that the
overall rate is exact. n is the number of questions, of countries for tau, of wordings for indices; rates lie near 0, in
the middle and near 1. Budget: 93 to 97 % of the intervals contain the truth. A share of 1,000 draws is known to about
+-1.4 points. Prints a table and, as its last line, one JSON object.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr
from scipy.stats import norm

from cultureclip.audit.measures.awareness import estimate_alignment
from cultureclip.audit.measures.distributions import estimate_distance, estimate_divergence
from cultureclip.audit.measures.hofstede import IndexSettings, compute_indices, estimate_indices, estimate_tau
from cultureclip.audit.measures.intervals import CrossedItems
from cultureclip.audit.tasks.knowledge import estimate_score
from cultureclip.statistics import ClusteredItems, Estimate

SIZES = (30, 300)
RATES = (0.03, 0.5, 0.97)
WORDINGS, COUNTRIES, ANSWERS = 4, 3, 16
BY_QUESTION, BY_WORDING, STRONG = 0.3, 0.05, 0.15
SCALE = np.arange(1, 6)
TRUTH_DRAWS = 40_000
INDEX_CUTS = {0.03: (0.9, 0.95, 0.98, 0.995), 0.5: (0.2, 0.4, 0.6, 0.8), 0.97: (0.005, 0.02, 0.05, 0.1)}
"""Share of answers up to 1, 2, 3 and 4 of an item without a shift."""
Draw = Callable[[np.random.Generator], Estimate | None]


def layout(size: int, wordings: int = WORDINGS) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(np.arange(size), wordings), np.tile(np.arange(wordings), size)


def latent(questions: np.ndarray, wordings: np.ndarray, by_wording: float, rng: np.random.Generator) -> np.ndarray:
    """Standard normal values that share an effect within a question and within a wording."""
    own = rng.normal(size=questions.max() + 1)[questions], rng.normal(size=wordings.max() + 1)[wordings]
    rest = rng.normal(size=len(questions))
    weights = (BY_QUESTION, by_wording, 1 - BY_QUESTION - by_wording)
    return sum(np.sqrt(weight) * part for weight, part in zip(weights, (*own, rest), strict=True))


def draw_share(size: int, rate: float, by_wording: float) -> tuple[float, Draw]:
    questions, wordings = layout(size)
    items, cut = CrossedItems(questions, wordings), norm.ppf(rate)

    def draw(rng: np.random.Generator) -> Estimate:
        return items.estimate_mean((latent(questions, wordings, by_wording, rng) < cut).astype(float))

    return rate, draw


def draw_difference(size: int, rate: float) -> tuple[float, Draw]:
    """Two shares of the same questions and wordings, ten points (or a third of what is left) apart."""
    questions, wordings = layout(size)
    items = CrossedItems(questions, wordings)
    other = rate + min(0.1, (1 - rate) / 3)
    cuts = norm.ppf([rate, other])

    def draw(rng: np.random.Generator) -> Estimate:
        shared = latent(questions, wordings, BY_WORDING, rng)
        sides = [np.sqrt(0.7) * shared + np.sqrt(0.3) * latent(questions, wordings, BY_WORDING, rng) for _ in cuts]
        before, after = ((side < cut).astype(float) for side, cut in zip(sides, cuts, strict=True))
        return items.estimate_difference(after, before)

    return other - rate, draw


def draw_alignment(size: int, rate: float) -> tuple[float, Draw]:
    """Answers 1 to 5 to questions whose gold is 1: squared distances of a mean near 0, in the middle, or near 1."""
    questions, wordings = layout(size)
    spread = 0.15
    centre = {0.03: -0.08, 0.5: 0.66, 0.97: 1.12}[rate]
    cuts = norm.cdf((np.array([0.125, 0.375, 0.625, 0.875]) - centre) / (spread * 2))
    shares = np.diff([0, *cuts, 1])
    truth = 1 - np.sqrt((shares * np.square(np.arange(5) / 4)).sum())
    gold, options, edges = np.ones(len(questions)), np.full(len(questions), 5), norm.ppf(cuts)

    def draw(rng: np.random.Generator) -> Estimate:
        answers = 1 + np.searchsorted(edges, latent(questions, wordings, BY_WORDING, rng))
        return estimate_alignment(answers, gold, options, questions, wordings)

    return float(truth), draw


def draw_index(wordings: int, rate: float) -> tuple[float, Draw]:
    """PDI of answers near 1, in the middle or near 5; the wordings move all items of a wording together."""
    items, worded = layout(24, wordings)
    cuts = norm.ppf(INDEX_CUTS[rate])
    shifts = np.linspace(-0.6, 0.6, 24)[items]
    means = {
        item: float((np.diff([0, *norm.cdf(cuts - shift), 1]) * SCALE).sum())
        for item, shift in zip(range(1, 25), np.linspace(-0.6, 0.6, 24), strict=True)
    }
    settings = IndexSettings()

    def draw(rng: np.random.Generator) -> Estimate | None:
        effect = rng.normal(size=wordings)[worded]
        moved = shifts + np.sqrt(0.2) * effect + np.sqrt(0.8) * rng.normal(size=len(items))
        answers = 1 + np.searchsorted(cuts, moved)
        return estimate_indices(items + 1, worded, answers.astype(float), settings)["pdi"][1]

    return float(compute_indices(means, settings)["pdi"] or 0.0), draw


def draw_tau(countries: int, tau: float) -> tuple[float, Draw]:
    correlation = np.sin(np.pi * tau / 2)

    def draw(rng: np.random.Generator) -> Estimate | None:
        published = rng.normal(size=countries)
        model = correlation * published + np.sqrt(1 - correlation**2) * rng.normal(size=countries)
        return estimate_tau(model, published)[1]

    return tau, draw


def draw_people(size: int, near: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances and divergences of so many questions in three countries.

    A question has answers that all countries are near to, and a model is near to the country (0), half as near, or far.
    """
    shared = rng.dirichlet(np.full(5, 0.8), size=size)[:, None]
    people = 0.7 * shared + 0.3 * rng.dirichlet(np.full(5, 0.8), size=(size, COUNTRIES))
    others = rng.dirichlet(np.full(5, 0.3), size=(size, 1)) * np.ones((1, COUNTRIES, 1))
    counts = rng.multinomial(ANSWERS, (1 - near) * people + near * others).astype(float)
    js = np.nan_to_num(jensenshannon(people, counts / ANSWERS, axis=2))
    kl = rel_entr(people, (counts + 0.5) / (counts + 0.5).sum(2, keepdims=True)).sum(2)
    return js.reshape(-1), kl.reshape(-1), np.repeat(np.arange(size), COUNTRIES)


def draw_distance(size: int, near: float, kind: str) -> tuple[float, Draw]:
    js, kl, _ = draw_people(TRUTH_DRAWS, near, np.random.default_rng(99))
    truth = js.mean() if kind == "js" else kl.mean()

    def draw(rng: np.random.Generator) -> Estimate | None:
        js, kl, questions = draw_people(size, near, rng)
        return estimate_distance(js, questions) if kind == "js" else estimate_divergence(kl, questions)

    return float(truth), draw


def draw_credit(size: int, rate: float) -> tuple[float, Draw]:
    """Credits of triplets, each the mean of two orders; five triplets per query."""
    queries, pairs = np.repeat(np.arange(size), 5), np.arange(5 * size)
    items, cut = ClusteredItems(queries), norm.ppf(rate)

    def draw(rng: np.random.Generator) -> Estimate:
        sides = [latent(queries, pairs, 0.2, rng) < cut for _ in range(2)]
        return items.estimate_mean(np.mean(sides, axis=0))

    return rate, draw


def draw_score(size: int, rate: float) -> tuple[float, Draw]:
    """F1 of answers, each 0 to 1; two answers per group. The interval is over groups."""
    groups = np.repeat(np.arange(size), 2)

    def draw(rng: np.random.Generator) -> Estimate | None:
        own = rng.beta(2 * rate, 2 * (1 - rate), size=size)
        answers = rng.binomial(6, own[groups]) / 6
        return estimate_score(list(answers), list(map(str, groups)))

    return rate, draw


def list_cases() -> Iterator[tuple[str, int, float, tuple[float, Draw]]]:
    """Yield name, n, rate, and the truth with the draw."""
    for size in SIZES:
        for rate in RATES:
            yield "share", size, rate, draw_share(size, rate, BY_WORDING)
            yield "share, strong", size, rate, draw_share(size, rate, STRONG)
            yield "difference", size, rate, draw_difference(size, rate)
            yield "alignment", size, rate, draw_alignment(size, rate)
            yield "credit", size, rate, draw_credit(size, rate)
            yield "score", size, rate, draw_score(size, rate)
            yield "distance", size, rate, draw_distance(size, rate, "js")
            yield "divergence", size, rate, draw_distance(size, rate, "kl")
        for tau in (0.0, 0.5, 0.9):
            yield "tau", size, tau, draw_tau(size, tau)
    for wordings in (4, 8, 30):
        for rate in RATES:
            yield "index", wordings, rate, draw_index(wordings, rate)


def measure(truth: float, draw: Draw, draws: int, seed: int) -> tuple[float, float, float]:
    """Share of intervals that hold the truth and their mean width, of those there are; and the share without one."""
    rng, hits, width, none = np.random.default_rng(seed), 0, 0.0, 0
    for _ in range(draws):
        found = draw(rng)
        if found is None:
            none += 1
            continue
        hits += found.low <= truth <= found.high
        width += found.high - found.low
    known = max(draws - none, 1)
    return hits / known, width / known, none / draws


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--only", help="name of the estimates to draw, such as tau")
    arguments = parser.parse_args()
    say = partial(print, flush=True)
    say("estimate          n  rate   truth  coverage  mean width  without")
    least: dict[str, float] = {}
    most: dict[str, float] = {}
    for number, (name, size, rate, (truth, draw)) in enumerate(list_cases()):
        if arguments.only not in (None, name):
            continue
        hits, width, none = measure(truth, draw, arguments.draws, number)
        say(f"{name:14} {size:4}  {rate:4.2f} {truth:7.3f} {hits:9.3f} {width:11.3f} {none:8.3f}")
        least[name] = min(hits, least.get(name, 1.0))
        most[name] = max(hits, most.get(name, 0.0))
    say(json.dumps({"draws": arguments.draws, "budget": 0.93, "least_coverage": least, "most_coverage": most}))


if __name__ == "__main__":
    main()
