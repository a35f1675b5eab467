"""Intervals and tests against scipy, a loop, and simulation."""

import numpy as np
import pytest
from scipy import stats

from cultureclip.benchmarks.statistics import ClusterSampler


def test_interval_equals_a_loop_over_resampled_clusters() -> None:
    rng = np.random.default_rng(0)
    clusters = rng.integers(0, 40, 150)
    values = (rng.random(150) < 0.6).astype(float)
    found = ClusterSampler(clusters, 4000, seed=1).estimate_mean(values)
    groups = [values[clusters == c] for c in np.unique(clusters)]
    means = []
    for _ in range(4000):
        drawn = [groups[i] for i in rng.integers(0, len(groups), len(groups))]
        means.append(np.concatenate(drawn).mean())
    low, high = np.quantile(means, [0.025, 0.975])
    assert found.value == pytest.approx(values.mean())
    # The expanded interval is wider than the plain percentile one by a few percent, no more.
    assert (high - low) * 0.97 < found.high - found.low < (high - low) * 1.12
    assert found.low == pytest.approx(low, abs=0.015)
    assert found.high == pytest.approx(high, abs=0.015)


def test_interval_agrees_with_scipy_where_clusters_are_single_items() -> None:
    values = np.random.default_rng(1).random(200)
    found = ClusterSampler(np.arange(200), 9000, seed=0).estimate_mean(values)
    other = stats.bootstrap((values,), np.mean, n_resamples=9000, rng=2).confidence_interval
    assert found.low == pytest.approx(other.low, abs=0.004)
    assert found.high == pytest.approx(other.high, abs=0.004)


def test_sign_flip_p_value_agrees_with_scipy() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.random(60), rng.random(60) - 0.08
    found = ClusterSampler(np.arange(60), 9000, seed=0).estimate_difference(a, b)
    other = stats.permutation_test(
        (a, b), lambda x, y, axis: (x - y).mean(axis), permutation_type="samples", n_resamples=9000, rng=3
    )
    assert found.p_value == pytest.approx(other.pvalue, abs=0.02)
    assert found.value == pytest.approx((a - b).mean())


def test_p_value_counts_clusters_not_items() -> None:
    rng = np.random.default_rng(4)
    steps = rng.choice([-0.3, 0.5], 12)
    few, many = steps, np.repeat(steps, 30)
    p_few = ClusterSampler(np.arange(12), 4000, 0).estimate_difference(few, np.zeros(12)).p_value
    p_many = ClusterSampler(np.repeat(np.arange(12), 30), 4000, 0).estimate_difference(many, np.zeros(360)).p_value
    assert p_many == pytest.approx(p_few)


@pytest.mark.parametrize("count", [30, 100])
def test_intervals_cover_the_truth(count: int) -> None:
    rng = np.random.default_rng(count)
    covered, draws = 0, 400
    sampler_clusters = np.repeat(np.arange(count), 3)
    sampler = ClusterSampler(sampler_clusters, 600, seed=0)
    for _ in range(draws):
        ability = rng.beta(2, 2, count)  # questions about one concept go together
        values = (rng.random((count, 3)) < ability[:, None]).astype(float).ravel()
        found = sampler.estimate_mean(values)
        covered += found.low <= 0.5 <= found.high
    assert 0.92 <= covered / draws <= 0.98


def test_nothing_is_certain_when_all_items_agree() -> None:
    found = ClusterSampler(np.arange(20), 500, 0).estimate_mean(np.ones(20))
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(stats.beta.ppf(0.025, 20, 1))


def test_one_cluster_says_nothing() -> None:
    sampler = ClusterSampler(np.zeros(5), 500, 0)
    found = sampler.estimate_mean(np.array([0, 1, 1, 1, 0.0]))
    assert (found.low, found.high) == (0.0, 1.0)
    difference = sampler.estimate_difference(np.ones(5), np.zeros(5))
    assert (difference.low, difference.high, difference.p_value) == (-1.0, 1.0, 1.0)


def test_equal_models_differ_by_nothing() -> None:
    values = np.random.default_rng(0).random(50)
    found = ClusterSampler(np.arange(50), 500, 0).estimate_difference(values, values)
    assert (found.value, found.low, found.high, found.p_value) == (0.0, 0.0, 0.0, 1.0)
