"""The corrected share: PPI++'s formula, a bootstrap over concepts, simulation, and the edges."""

import numpy as np
import pytest

from cultureclip.prediction_powered import estimate_good_share
from cultureclip.statistics import ClusteredItems


def draw(
    rng: np.random.Generator, rate: float, concepts: int = 80, each: int = 6, judge: tuple[float, float] = (0.9, 0.85)
):
    clusters = np.repeat(np.arange(concepts), each)
    good = rng.random(len(clusters)) < rng.beta(2 * rate, 2 * (1 - rate), concepts)[clusters]
    says = rng.random(len(clusters)) < np.where(good, judge[0], 1 - judge[1])
    return clusters, good, says


@pytest.mark.parametrize("seed", range(8))
def test_estimate_is_ppi_plus_plus_with_power_tuning(seed: int) -> None:
    rng = np.random.default_rng(seed)
    clusters, good, says = draw(rng, 0.6)
    rated = rng.choice(len(good), 60, replace=False)
    truth, said = good[rated].astype(float), says[rated].astype(float)
    others = np.delete(says.astype(float), rated)
    power = np.cov(truth, said, ddof=0)[0, 1] / said.var() / (1 + len(said) / len(others))
    found = estimate_good_share(says, clusters, rated, good[rated])
    assert found.power == pytest.approx(power)
    assert found.corrected.value == pytest.approx(truth.mean() + power * (others.mean() - said.mean()))
    assert (found.rated, found.images) == (60, 480)


def test_interval_is_that_of_a_bootstrap_over_concepts() -> None:
    rng = np.random.default_rng(0)
    clusters, good, says = draw(rng, 0.5, concepts=200, each=8)
    rated = rng.choice(len(good), 800, replace=False)
    is_rated = np.zeros(len(good), bool)
    is_rated[rated] = True
    found = estimate_good_share(says, clusters, rated, good[rated]).corrected
    values = []
    for _ in range(500):
        drawn = (rng.integers(0, 200, 200)[:, None] * 8 + np.arange(8)).ravel()
        y, f, r = good[drawn], says[drawn], is_rated[drawn]
        values.append(f.mean() * y[r & f].mean() + (1 - f.mean()) * y[r & ~f].mean())
    assert (found.high - found.low) == pytest.approx(2 * 1.97 * np.std(values), rel=0.12)


@pytest.mark.parametrize("rate", [0.05, 0.95])
def test_interval_holds_the_truth_where_the_judges_does_not(rate: float) -> None:
    # bench/judge_coverage.py has the full table.
    rng, hits = np.random.default_rng(1), np.zeros(2)
    for _ in range(100):
        clusters, good, says = draw(rng, rate, judge=(0.9, 0.7))
        rated = rng.choice(480, 60, replace=False)
        found = estimate_good_share(says, clusters, rated, good[rated])
        hits += [e.low <= rate <= e.high for e in (found.corrected, found.judge)]
    corrected, judge = hits / 100
    assert corrected >= 0.89
    assert judge < 0.9


def test_a_good_judge_makes_the_interval_shorter_and_coin_flips_do_not() -> None:
    rng = np.random.default_rng(2)
    clusters, good, says = draw(rng, 0.5, concepts=300, judge=(0.97, 0.97))
    rated = rng.choice(len(good), 100, replace=False)
    helped = estimate_good_share(says, clusters, rated, good[rated])
    assert helped.corrected.high - helped.corrected.low < 0.75 * (helped.people.high - helped.people.low)
    coin = estimate_good_share(rng.random(len(good)) < 0.5, clusters, rated, good[rated])
    assert abs(coin.power) < 0.25
    assert coin.corrected.high - coin.corrected.low == pytest.approx(coin.people.high - coin.people.low, rel=0.15)


def test_a_judge_without_an_error_so_far_is_not_taken_as_perfect() -> None:
    clusters = np.repeat(np.arange(200), 5)
    good = np.arange(1000) % 2 == 0
    rated = np.arange(0, 60) * 7
    found = estimate_good_share(good, clusters, rated, good[rated]).corrected
    assert found.value == pytest.approx(0.5, abs=0.01)
    assert found.high - found.low > 0.05


@pytest.mark.parametrize("said", [True, False])
def test_where_the_judge_says_the_same_of_all_rated_images_people_are_asked(said: bool) -> None:
    good = np.arange(40) % 4 == 0
    says = np.full(400, said)
    says[200:] = ~said
    found = estimate_good_share(says, np.arange(400), np.arange(40), good)
    assert found.power == 0 and found.corrected == found.people == ClusteredItems(np.arange(40)).estimate_mean(
        good * 1.0
    )


def test_one_concept_says_nothing() -> None:
    good = np.arange(20) % 2 == 0
    found = estimate_good_share(good, np.zeros(20), np.arange(10), good[:10])
    assert (found.corrected.low, found.corrected.high) == (0.0, 1.0)


def test_everything_rated_leaves_nothing_to_correct() -> None:
    rng = np.random.default_rng(3)
    clusters, good, says = draw(rng, 0.7)
    found = estimate_good_share(says, clusters, np.arange(480), good)
    assert found.power == 0
    assert found.corrected.value == pytest.approx(found.people.value)
    assert found.corrected.high - found.corrected.low == pytest.approx(found.people.high - found.people.low, rel=0.1)


def test_rated_images_that_are_no_random_sample_show() -> None:
    clusters, good, says = draw(np.random.default_rng(4), 0.5, concepts=200)
    chosen = np.flatnonzero(says)[:150]
    found = estimate_good_share(says, clusters, chosen, good[chosen])
    assert found.judge_of_rated.value == 1.0 and found.judge_of_rated.low > found.judge.high
