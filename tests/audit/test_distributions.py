"""Distances of distributions against values by hand, and intervals against a jackknife written out."""

import numpy as np
import pytest

from cultureclip.audit.measures.distributions import (
    MOST,
    count_options,
    estimate_distance,
    estimate_divergence,
    expected_floor,
    js_distance,
    kl_divergence,
)


def test_counts_are_of_all_options():
    assert count_options(np.array([2, 2, 4]), 5).tolist() == [0, 2, 0, 1, 0]
    assert count_options(np.array([]), 3).tolist() == [0, 0, 0]


def test_equal_distributions_are_nothing_apart():
    """The published code has 0.744 here."""
    assert kl_divergence(np.array([1.0, 0, 0]), np.array([1e12, 0, 0]), 0.5) == pytest.approx(0, abs=1e-9)
    assert js_distance(np.array([1.0, 0, 0]), np.array([7.0, 0, 0])) == 0
    assert js_distance(np.array([0.1, 0.2, 0.7]), np.array([10, 20, 70])) == pytest.approx(0, abs=1e-8)


def test_kl_is_of_the_population_from_the_smoothed_counts():
    # (3 + 1, 0 + 1) / 5; 0.5 ln(0.5 / 0.8) + 0.5 ln(0.5 / 0.2)
    expected = 0.5 * np.log(0.5 / 0.8) + 0.5 * np.log(0.5 / 0.2)
    assert kl_divergence(np.array([0.5, 0.5]), np.array([3.0, 0]), 1) == pytest.approx(expected)
    assert kl_divergence(np.array([0, 1.0]), np.array([3.0, 0]), 1) == pytest.approx(np.log(5))


def test_js_distance_is_the_root_of_the_divergence():
    assert js_distance(np.array([1.0, 0]), np.array([0, 4])) == pytest.approx(MOST)
    p, q = np.array([0.5, 0.5]), np.array([0.9, 0.1])
    middle = (p + q) / 2
    divergence = (p * np.log(p / middle)).sum() / 2 + (q * np.log(q / middle)).sum() / 2
    assert js_distance(p, np.array([9, 1])) == pytest.approx(np.sqrt(divergence))


def test_the_floor_is_what_the_populations_own_answers_have():
    """One answer to an even question with two options: always the distance of (1, 0) from (0.5, 0.5)."""
    even = np.array([0.5, 0.5])
    assert expected_floor(even, 1, 0) == pytest.approx(js_distance(even, np.array([1.0, 0])))
    assert expected_floor(even, 10, 0) > expected_floor(even, 1000, 0) > 0
    assert expected_floor(np.array([0, 1.0]), 3, 0) == 0


def test_intervals_are_over_questions_and_not_over_countries():
    rng = np.random.default_rng(1)
    own = rng.uniform(0.1, 0.6, 12)
    once, often = (estimate_distance(np.repeat(own, n), np.repeat(np.arange(12), n)) for n in (1, 5))
    assert (once.value, once.low, once.high) == pytest.approx((often.value, often.low, often.high))
    once, often = (estimate_divergence(np.repeat(own, n), np.repeat(np.arange(12), n)) for n in (1, 5))
    assert (once.value, once.low, once.high) == pytest.approx((often.value, often.low, often.high))


def test_the_divergences_interval_is_the_jackknifes_of_the_logarithm():
    values = np.array([0.2, 0.5, 0.3, 1.9])
    found = estimate_divergence(values, np.arange(4))
    without = np.log([np.delete(values, i).mean() for i in range(4)])
    error = np.sqrt(3 / 4 * np.square(without - without.mean()).sum())
    ends = np.exp(np.log(values.mean()) + np.array([-1, 1]) * 3.18244630528 * error)
    assert (found.value, found.low, found.high) == pytest.approx((values.mean(), *ends))


@pytest.mark.parametrize("values", [[0.3], [0, 0, 0], [0.4, 0.4, 0.4], [0, 0, 2.0]])
def test_what_says_nothing_of_other_questions_has_no_interval(values):
    assert estimate_divergence(np.array(values), np.arange(len(values))) is None
