"""McNemar by hand, Holm by hand, margins below noise."""

import numpy as np
import pytest
from scipy.stats import binom
from statsmodels.stats.multitest import multipletests

from cultureclip.scoring.significance import correct_holm, mcnemar_test, undecided_share


def test_mcnemar_is_the_binomial_test_over_the_items_that_tell_models_apart() -> None:
    one = np.array([1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 0.5, 1])[:, None]
    other = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 1, 0.5])[:, None]
    found = mcnemar_test(one, other)
    assert found.p_value == pytest.approx(2 * binom.cdf(1, 7, 0.5))  # six against one
    assert (found.n, found.excluded) == (10, 2)


def test_seeds_vote_and_an_even_split_is_no_vote() -> None:
    three = np.array([[1, 1, 0], [0, 0, 1], [1, 1, 1]])
    two = np.array([[1, 0], [1, 1], [1, 1]])
    base = np.array([[0], [1], [0]])
    assert mcnemar_test(three, base).n == 3
    assert (mcnemar_test(two, base).n, mcnemar_test(two, base).excluded) == (2, 1)


def test_models_that_agree_everywhere_have_p_1() -> None:
    assert mcnemar_test(np.ones((4, 1)), np.ones((4, 1))).p_value == 1


def test_holm_multiplies_by_what_is_left_and_never_decreases() -> None:
    found = correct_holm(np.array([0.04, np.nan, 0.01, 0.03]))
    assert found[[2, 3, 0]] == pytest.approx([0.03, 0.06, 0.06])
    assert np.isnan(found[1])


def test_holm_agrees_with_statsmodels() -> None:
    p_values = np.random.default_rng(0).random(40).round(1) ** 4  # ties, zeros and ones among them
    np.testing.assert_allclose(correct_holm(p_values), multipletests(p_values, method="holm")[1])


def test_undecided_items_are_those_whose_best_two_options_are_close() -> None:
    scores = [[0.3, 0.299, 0.1], [0.1, 0.3, 0.2], [0.2, 0.2], [0.7]]
    assert undecided_share(scores, noise=0.002) == pytest.approx(2 / 3)
    assert np.isnan(undecided_share([[0.7]], noise=0.002))
