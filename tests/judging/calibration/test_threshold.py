"""Thresholds: the bound against Clopper and Pearson's, the sequence against a loop, the guarantee by simulation."""

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from cultureclip.judging.calibration.settings import ThresholdSettings
from cultureclip.judging.calibration.threshold import (
    Band,
    Threshold,
    bound_share,
    find_accepting,
    find_band,
    find_refusing,
)

TARGET = ThresholdSettings(target_error=0.1, confidence=0.95)


def test_bound_of_independent_images_is_clopper_and_pearsons() -> None:
    wrong = (np.arange(2000) < 100).astype(float)
    found = bound_share(wrong, np.arange(2000), 0.95)
    assert found == pytest.approx(proportion_confint(100, 2000, alpha=0.1, method="beta")[1], abs=2e-4)


def test_bound_without_an_error_counts_concepts_and_not_images() -> None:
    assert bound_share(np.zeros(300), np.repeat(np.arange(30), 10), 0.95) == pytest.approx(1 - 0.05 ** (1 / 30))
    assert bound_share(np.zeros(300), np.zeros(300), 0.95) == 1.0


def test_an_error_more_never_lowers_the_bound() -> None:
    clusters = np.repeat(np.arange(30), 10)
    bounds = [bound_share((np.arange(300) < errors).astype(float), clusters, 0.95) for errors in range(11)]
    spread = [bound_share((np.arange(300) % 10 < 1) & (np.arange(300) < 10 * k), clusters, 0.95) for k in range(11)]
    assert bounds == sorted(bounds) and spread == sorted(spread)


def test_accepting_starts_at_the_lowest_score_that_keeps_the_target() -> None:
    scores = np.repeat([5.0, 4.0, 3.0, 2.0], 200)
    good = np.repeat([True, True, True, False], 200)
    clusters = np.tile(np.arange(200), 4)
    found = find_accepting(scores, good, clusters, TARGET)
    # 2 1/3 accepts the same images as 3; lower than that, every fourth is bad.
    assert found.score == pytest.approx(7 / 3) and found.images == 600 and found.error == 0
    assert found.bound == pytest.approx(1 - 0.05 ** (1 / 200))
    refusing = find_refusing(scores, good, clusters, TARGET)
    assert refusing.score == pytest.approx(8 / 3) and refusing.images == 200


def test_the_first_failure_ends_the_sequence() -> None:
    # Half of the best-scored images are bad, all others are good: a lower threshold would pass, and must not be tried.
    scores = np.r_[np.full(60, 5.0), np.full(3000, 4.0)]
    good = np.r_[np.arange(60) % 2 == 0, np.ones(3000, bool)]
    found = find_accepting(scores, good, np.arange(3060), TARGET)
    assert found.score is None and found.reason is not None and "strictest threshold, 5.00" in found.reason


def test_a_target_that_no_sample_this_small_can_show_is_null_with_a_reason() -> None:
    for images, clusters in ((20, np.arange(20)), (500, np.zeros(500)), (0, np.zeros(0))):
        found = find_accepting(np.full(images, 5.0), np.ones(images, bool), clusters, TARGET)
        assert found == Threshold(
            reason="too few concepts were rated: even without an error the bound is above the target"
        )


def test_equal_scores_decide_all_or_nothing() -> None:
    scores, clusters = np.full(100, 3.0), np.arange(100)
    assert find_accepting(scores, np.ones(100, bool), clusters, TARGET).score == 1.0
    assert find_accepting(scores, np.arange(100) % 2 == 0, clusters, TARGET).score is None


def test_the_band_is_what_neither_threshold_decides() -> None:
    scores = np.array([1.0, 2.0, 3.0, 10 / 3, 4.0, 5.0, 5.0, 5.0])
    accept, refuse, neither = Threshold(4.0), Threshold(2.0), Threshold(reason="no")
    assert find_band(scores, accept, refuse) == Band(0.25, 2)
    assert find_band(scores, neither, refuse) == Band(0.75, 6)
    assert find_band(scores, Threshold(2.0), Threshold(4.0)) == Band(0.0, 0)
    assert find_band(scores, neither, neither).share is None
    assert find_band(np.zeros(0), accept, refuse) == Band(reason="the judge gave no image a score")


def test_the_chosen_threshold_keeps_its_target() -> None:
    # bench/judge_coverage.py has the full table. True share of bad images at a score s: (5 - s) / 5.
    rng, broken, found = np.random.default_rng(0), 0, 0
    for _ in range(100):
        clusters = np.repeat(np.arange(80), 3)
        scores = np.repeat(rng.integers(9, 16, 80), 3) / 3
        concept = rng.beta((scores[::3] + 0.01) / 2, (5.01 - scores[::3]) / 2)
        good = rng.random(240) < np.repeat(concept, 3)
        score = find_accepting(scores, good, clusters, ThresholdSettings(target_error=0.2, confidence=0.9)).score
        if score is not None:
            found += 1
            kept = np.arange(round(3 * score), 16) / 3
            kept = kept[kept >= 3]
            broken += 1 - np.mean((kept + 0.01) / 5.02) > 0.2
    assert found > 20
    assert broken / 100 <= 0.15
