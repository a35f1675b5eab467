"""Intervals over questions and wordings: what they reduce to, and what they must not claim."""

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from cultureclip.audit.measures.intervals import CrossedItems, estimate_mean, jackknife, transform
from cultureclip.statistics import ClusteredItems, Estimate


def crossed(questions: int, wordings: int) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(np.arange(questions), wordings), np.tile(np.arange(wordings), questions)


def test_with_one_wording_it_is_the_interval_over_questions():
    questions, wordings = crossed(15, 1)
    values = (np.arange(15) % 3 == 0).astype(float)
    assert CrossedItems(questions, wordings).estimate_mean(values) == ClusteredItems(questions).estimate_mean(values)


def test_wordings_that_disagree_widen_it():
    """All questions agree, half of the wordings say yes: four wordings tell little, however many are asked."""
    questions, wordings = crossed(200, 4)
    found = CrossedItems(questions, wordings).estimate_mean((wordings < 2).astype(float))
    assert found.value == 0.5
    assert found.high - found.low > 0.6
    alone = ClusteredItems(questions).estimate_mean((wordings < 2).astype(float))
    assert alone.high - alone.low < 0.2, "over questions alone the four wordings count as certain"


def test_countries_of_one_question_are_not_more_questions():
    rng = np.random.default_rng(0)
    questions, wordings = crossed(20, 3)
    values = (rng.random(60) < 0.4).astype(float)
    once = CrossedItems(questions, wordings).estimate_mean(values)
    often = CrossedItems(*(np.tile(a, 6) for a in (questions, wordings))).estimate_mean(np.tile(values, 6))
    assert (often.low, often.high) == pytest.approx((once.low, once.high))


def test_the_variance_is_the_sum_of_both_ways_less_the_cells():
    """A balanced layout: V of questions, wordings and cells are variances of their means (HC3's n / (n - 1) each)."""
    rng = np.random.default_rng(3)
    table = rng.random((6, 4)) + rng.normal(size=(6, 1)) + rng.normal(size=4)
    questions, wordings = crossed(6, 4)
    items = CrossedItems(questions, wordings)
    expected = [m.var(ddof=1) / len(m) for m in (table.mean(1), table.mean(0), table.reshape(-1))]
    variance, quantile = items._spread(table.reshape(-1))
    assert variance == pytest.approx(max(expected[0] + expected[1] - expected[2], *expected[:2]))
    of_wordings = expected[1] / variance  # t with 3 degrees of freedom for this part, with 5 for the rest
    assert quantile == pytest.approx(of_wordings * 3.182446 + (1 - of_wordings) * 2.570582, abs=1e-5)


def test_answers_that_all_agree_are_no_proof():
    questions, wordings = crossed(10, 4)
    items = CrossedItems(questions, wordings)
    none = items.estimate_mean(np.zeros(40))
    assert none.value == none.low == 0
    assert 0.2 < none.high < 0.5
    assert items.estimate_difference(np.ones(40), np.ones(40)).high > 0.2


def test_a_rare_kind_of_group_may_not_have_been_seen():
    """One small error in thirty groups: its variance alone would say that the mean is known to half a point."""
    groups = np.repeat(np.arange(30), 2)
    values = np.ones(60)
    values[7] = 5 / 6
    plain, found = ClusteredItems(groups).estimate_mean(values), estimate_mean(values, groups)
    assert plain.low > 0.97
    assert found.value == plain.value
    assert 0.85 < found.low < 0.95
    half = np.append(values, [0, 1]), np.append(groups, [30, 31]), np.append(np.ones(60), [1, 1])
    padded = ClusteredItems(half[1], half[2])
    size = padded.mean(half[0]) * (1 - padded.mean(half[0])) / padded.standard_error(half[0]) ** 2
    size *= (1.959964 / 2.045230) ** 2
    assert (found.low, found.high) == pytest.approx(proportion_confint(found.value * size, size, method="wilson"))


def test_where_many_groups_vary_the_interval_is_the_usual_one():
    rng = np.random.default_rng(0)
    groups, values = np.repeat(np.arange(40), 3), rng.integers(0, 2, 120).astype(float)
    plain, found = ClusteredItems(groups).estimate_mean(values), estimate_mean(values, groups)
    assert (found.value, found.low, found.high) == pytest.approx((plain.value, plain.low, plain.high))
    assert estimate_mean(np.ones(2), np.zeros(2)) == Estimate(1, 0, 1)


def test_one_question_says_nothing():
    assert CrossedItems(np.zeros(4), np.arange(4)).estimate_mean(np.ones(4)) == Estimate(1, 0, 1)


def test_the_jackknife_of_a_mean_is_its_t_interval():
    values = np.array([1.0, 4, 2, 7, 5])
    found = jackknife(values.mean(), (values.sum() - values) / 4)
    half = 2.7764451052 * values.std(ddof=1) / np.sqrt(5)
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half))
    assert jackknife(3.0, np.array([3.0])) is None
    assert jackknife(3.0, np.full(5, 3.0)) is None


def test_a_falling_scale_swaps_the_ends():
    assert transform(Estimate(4, 1, 9), lambda value: -value) == Estimate(-4, -9, -1)
