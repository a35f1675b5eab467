"""Intervals and tests against scipy, statsmodels, a loop, and simulation."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestPower

from cultureclip.statistics import ClusteredItems


def jackknife(values: np.ndarray, clusters: np.ndarray, weights: np.ndarray) -> float:
    """Standard error of the weighted mean, leaving out one cluster after the other."""
    names = np.unique(clusters)
    left = [np.average(values[clusters != c], weights=weights[clusters != c]) for c in names]
    whole = np.average(values, weights=weights)
    return float(np.sqrt((len(names) - 1) / len(names) * sum((one - whole) ** 2 for one in left)))


@given(st.integers(0, 10_000), st.integers(2, 12), st.booleans())
def test_standard_error_is_the_jackknife_over_clusters(seed: int, count: int, weighted: bool) -> None:
    rng = np.random.default_rng(seed)
    clusters = np.concatenate([np.arange(count), rng.integers(0, count, 20)])
    values = rng.random(len(clusters))
    weights = rng.random(len(clusters)) + 0.1 if weighted else np.ones(len(clusters))
    items = ClusteredItems(clusters, weights)
    assert items.mean(values) == pytest.approx(np.average(values, weights=weights))
    assert items.standard_error(values) == pytest.approx(jackknife(values, clusters, weights))


def test_single_items_give_the_t_interval_of_the_mean_and_of_the_paired_t_test() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random(200), rng.random(200) - 0.05
    found = ClusteredItems(np.arange(200)).estimate_difference(a, b)
    other = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((other.low, other.high))


def test_clusters_of_one_size_give_the_cluster_robust_interval_of_statsmodels() -> None:
    rng = np.random.default_rng(2)
    clusters = np.repeat(np.arange(40), 5)
    values = rng.random(200) + np.repeat(rng.random(40), 5)
    fit = sm.OLS(values, np.ones(200)).fit(
        cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": False, "df_correction": True}
    )
    items = ClusteredItems(clusters)
    # statsmodels divides by C, the jackknife by C - 1.
    assert items.standard_error(values) == pytest.approx(fit.bse[0] * np.sqrt(40 / 39))


def test_interval_of_independent_answers_is_wilsons() -> None:
    values = np.random.default_rng(3).random(2000) < 0.8
    found = ClusteredItems(np.arange(2000)).estimate_mean(values.astype(float))
    wilson = stats.binomtest(int(values.sum()), 2000).proportion_ci(method="wilson")
    assert found.low == pytest.approx(wilson.low, abs=2e-4)
    assert found.high == pytest.approx(wilson.high, abs=2e-4)


def test_questions_about_few_concepts_say_less_than_as_many_about_many() -> None:
    values = np.tile(np.repeat([0.0, 1.0], 5), 20)
    many = ClusteredItems(np.arange(200)).estimate_mean(values)
    few = ClusteredItems(np.repeat(np.arange(40), 5)).estimate_mean(values)
    assert few.high - few.low > 1.8 * (many.high - many.low)


def test_detectable_difference_has_the_power_that_is_claimed() -> None:
    rng = np.random.default_rng(5)
    difference = rng.normal(size=60)
    found = ClusteredItems(np.arange(60)).estimate_difference(difference, np.zeros(60))
    power = TTestPower().power(found.detectable / difference.std(ddof=1), 60, 0.05)
    assert power == pytest.approx(0.8, abs=0.01)


def test_sign_flip_p_value_agrees_with_scipy() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.random(60), rng.random(60) - 0.08
    items = ClusteredItems(np.arange(60))
    other = stats.permutation_test(
        (a, b), lambda x, y, axis: (x - y).mean(axis), permutation_type="samples", n_resamples=9000, rng=3
    )
    assert items.test_difference(a, b, items.draw_signs(9000, 0)) == pytest.approx(other.pvalue, abs=0.02)


def test_p_value_counts_clusters_not_items() -> None:
    steps = np.random.default_rng(4).choice([-0.3, 0.5], 12)
    few, many = ClusteredItems(np.arange(12)), ClusteredItems(np.repeat(np.arange(12), 30))
    signs = few.draw_signs(4000, 0)
    p_few = few.test_difference(steps, np.zeros(12), signs)
    assert many.test_difference(np.repeat(steps, 30), np.zeros(360), signs) == pytest.approx(p_few)


@pytest.mark.parametrize("count", [30, 100])
def test_intervals_cover_the_truth_and_the_test_keeps_its_level(count: int) -> None:
    # bench/coverage.py has the full table; with 400 draws a share of 95 % is known to +-2.1 points.
    rng = np.random.default_rng(count)
    clusters = np.repeat(np.arange(count), np.random.default_rng(0).integers(1, 6, count))
    items, draws = ClusteredItems(clusters), 400
    signs, hits = items.draw_signs(400, 0), np.zeros(3)
    for _ in range(draws):
        base, tuned = ((rng.random(len(clusters)) < rng.beta(2.1, 0.7, count)[clusters]) * 1.0 for _ in range(2))
        mean, difference = items.estimate_mean(base), items.estimate_difference(tuned, base)
        hits += (
            mean.low <= 0.75 <= mean.high,
            difference.low <= 0 <= difference.high,
            items.test_difference(tuned, base, signs) <= 0.05,
        )
    covered_mean, covered_difference, rejected = hits / draws
    assert 0.925 <= covered_mean <= 0.975
    assert 0.925 <= covered_difference <= 0.975
    assert rejected <= 0.08


def test_nothing_is_certain_when_all_items_agree() -> None:
    found = ClusteredItems(np.arange(20)).estimate_mean(np.ones(20))
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(20 / (20 + stats.t.ppf(0.975, 19) ** 2))
    crowded = ClusteredItems(np.repeat(np.arange(20), 50)).estimate_mean(np.ones(1000))
    assert crowded.low == pytest.approx(found.low)


def test_equal_answers_do_not_prove_equal_models() -> None:
    values = np.random.default_rng(0).integers(0, 2, 50).astype(float)
    items = ClusteredItems(np.arange(50))
    found = items.estimate_difference(values, values)
    assert found.value == 0
    assert found.high == -found.low == pytest.approx(stats.beta.ppf(0.975, 1, 50))
    assert np.isnan(found.detectable)
    assert items.test_difference(values, values, items.draw_signs(300, 0)) == 1


def test_one_cluster_says_nothing() -> None:
    items = ClusteredItems(np.zeros(5))
    found = items.estimate_mean(np.array([0, 1, 1, 1, 0.0]))
    assert (found.low, found.high) == (0.0, 1.0)
    difference = items.estimate_difference(np.ones(5), np.zeros(5))
    assert (difference.low, difference.high) == (-1.0, 1.0)
    assert items.test_difference(np.ones(5), np.zeros(5), items.draw_signs(300, 0)) == 1


@pytest.mark.parametrize("names", [["b", "a", "b", "é", "Z"], [10, 9, 10, -1, 2], ["x"]])
def test_clusters_are_numbered_in_the_order_of_their_names(names: list) -> None:
    items = ClusteredItems(np.array(names))
    assert items.index.tolist() == [sorted(map(str, set(names))).index(str(name)) for name in names]
    assert items.count == len(set(names))


def test_many_pairs_at_once_are_tested_as_one_by_one():
    rng = np.random.default_rng(4)
    items = ClusteredItems(rng.integers(0, 17, 200), rng.random(200) + 0.5)
    signs = items.draw_signs(400, 1)
    pairs = [
        ((rng.random(200) < share).astype(float), (rng.random(200) < 0.5).astype(float)) for share in (0.5, 0.6, 0.7)
    ]
    expected = []
    for one, other in pairs:  # the test as it is defined, a draw at a time
        weighted = items.weights * (one - other)
        sums = np.array([weighted[items.index == cluster].sum() for cluster in range(items.count)])
        flipped = np.array([abs((draw * sums).sum()) for draw in signs.astype(float)])
        expected.append((1 + (flipped >= abs(sums.sum()) - 1e-9).sum()) / 401)
    assert items.test_differences(pairs, signs).tolist() == expected
    assert len(set(expected)) == 3
    assert items.test_differences([], signs).shape == (0,)
