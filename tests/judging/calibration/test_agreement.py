"""Kappa against scikit-learn, alpha against the published example, the bootstrap against a loop and simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from cultureclip.judging.calibration.agreement import (
    alpha_sums,
    bootstrap,
    kappa_sums,
    ordinal_alpha,
    weighted_kappa,
)

_ = None
KRIPPENDORFF = [  # Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, section D: 4 observers, 12 units
    [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
    [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
]


def counts_of(observers) -> np.ndarray:
    return np.array([[column.count(value) for value in range(1, 6)] for column in zip(*observers, strict=True)], float)


@given(st.integers(0, 10_000), st.integers(3, 60))
def test_kappa_is_scikit_learns(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    a, b, weights = rng.integers(1, 6, count), rng.integers(1, 6, count), rng.random(count) + 0.1
    if len(set(a) | set(b)) == 1:
        return
    theirs = cohen_kappa_score(a, b, labels=[1, 2, 3, 4, 5], weights="quadratic", sample_weight=weights)
    ours = weighted_kappa(kappa_sums(a.astype(float), b.astype(float), weights).sum(0))
    assert ours == pytest.approx(theirs, abs=1e-9)


def test_alpha_is_the_published_examples() -> None:
    assert float(ordinal_alpha(alpha_sums(counts_of(KRIPPENDORFF)).sum(0))) == pytest.approx(0.815, abs=5e-4)


def naive_alpha(counts: np.ndarray) -> float:
    """Ratings one by one: the distance of each pair of one image against that of each pair of all."""
    units = [np.repeat(np.arange(5), row.astype(int)) for row in counts if row.sum() > 1]
    pooled = np.concatenate(units)
    sizes = np.bincount(pooled, minlength=5)

    def distance(c: int, k: int) -> float:
        c, k = min(c, k), max(c, k)
        return float((sizes[c : k + 1].sum() - (sizes[c] + sizes[k]) / 2) ** 2) if c != k else 0.0

    seen = sum(
        distance(a, b) / (len(u) - 1) for u in units for i, a in enumerate(u) for j, b in enumerate(u) if i != j
    ) / len(pooled)
    expected = sum(distance(a, b) for i, a in enumerate(pooled) for j, b in enumerate(pooled) if i != j)
    return 1 - seen / (expected / (len(pooled) * (len(pooled) - 1)))


def test_alpha_is_that_of_a_loop_over_pairs() -> None:
    for seed in range(5):
        counts = np.random.default_rng(seed).multinomial(3, [0.1, 0.2, 0.3, 0.2, 0.2], 12) * 1.0
        counts[0] = [0, 1, 0, 0, 0]
        assert float(ordinal_alpha(alpha_sums(counts).sum(0))) == pytest.approx(naive_alpha(counts))


def draw_pairs(rng: np.random.Generator, concepts: int, each: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Judge's and a person's rating: a concept's own level in both, and noise in each."""
    clusters = np.repeat(np.arange(concepts), each)
    level = rng.normal(size=concepts)[clusters] + 0.7 * rng.normal(size=len(clusters))
    a, b = (np.digitize(level + 0.7 * rng.normal(size=len(clusters)), [-1.5, -0.5, 0.5, 1.5]) + 1.0 for _ in range(2))
    return a, b, clusters


def test_interval_draws_concepts_and_not_images() -> None:
    a, b, clusters = draw_pairs(np.random.default_rng(0), 25, 12)
    sums = kappa_sums(a, b, np.ones(len(a)))
    whole = bootstrap(weighted_kappa, sums, clusters, 1000, np.random.default_rng(1))
    single = bootstrap(weighted_kappa, sums, np.arange(len(a)), 1000, np.random.default_rng(1))
    assert whole.value == single.value and whole.low is not None and single.low is not None
    assert whole.high - whole.low > 1.3 * (single.high - single.low)


def test_interval_holds_the_truth() -> None:
    rng = np.random.default_rng(2)
    a, b, _clusters = draw_pairs(rng, 40_000, 4)
    truth = float(weighted_kappa(kappa_sums(a, b, np.ones(len(a))).sum(0)))
    hits = 0
    for _draw in range(300):
        a, b, clusters = draw_pairs(rng, 30, 4)
        found = bootstrap(weighted_kappa, kappa_sums(a, b, np.ones(len(a))), clusters, 400, rng)
        hits += found.low <= truth <= found.high
    assert 0.91 <= hits / 300 <= 0.985  # a share of 95 % is known to 2.5 points


def test_what_says_nothing_is_null_with_a_reason() -> None:
    rng, same = np.random.default_rng(0), np.full(20, 3.0)
    undefined = bootstrap(weighted_kappa, kappa_sums(same, same, np.ones(20)), np.arange(20), 100, rng)
    assert (undefined.value, undefined.reason) == (None, "undefined: all ratings are the same")
    varied = rng.integers(1, 6, 20).astype(float)
    perfect = bootstrap(weighted_kappa, kappa_sums(varied, varied, np.ones(20)), np.arange(20), 100, rng)
    assert perfect.value == pytest.approx(1) and perfect.low is None and "no concept differs" in (perfect.reason or "")
    one = bootstrap(weighted_kappa, kappa_sums(varied, varied[::-1].copy(), np.ones(20)), np.zeros(20), 100, rng)
    assert one.low is None and one.reason == "no interval: one concept"
