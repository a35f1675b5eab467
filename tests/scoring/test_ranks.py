"""Confidence sets of ranks: hand-made cases, and models that cannot be compared."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from cultureclip.scoring import ranks
from cultureclip.scoring.ranks import RankedItems, RankSet, rank_models, say_rank


def items_of(credit: np.ndarray, columns: list[str] | None = None, clusters: np.ndarray | None = None) -> RankedItems:
    count = len(credit)
    of = np.arange(count) if clusters is None else clusters
    return RankedItems(credit, of.astype(str), np.array(columns or ["a"] * count), np.ones(count))


def test_a_model_that_is_right_everywhere_comes_first() -> None:
    best, worst = np.ones(40), np.zeros(40)
    middle = np.tile([0.0, 1.0], 20)
    found = rank_models(items_of(np.stack([worst, best, middle, middle], axis=1)))
    assert found == [RankSet(4, 4, 4, 3), RankSet(1, 1, 4, 3), RankSet(2, 3, 4, 3), RankSet(2, 3, 4, 3)]


def test_models_that_answer_alike_may_have_any_rank() -> None:
    credit = np.repeat(np.random.default_rng(0).random((50, 1)).round(), 3, axis=1)
    assert rank_models(items_of(credit)) == [RankSet(1, 3, 3, 2)] * 3


def test_a_few_questions_decide_nothing_however_large_the_difference() -> None:
    credit = np.stack([np.ones(4), np.zeros(4)], axis=1)  # four signs: p is no less than 1/16
    assert rank_models(items_of(credit)) == [RankSet(1, 2, 2, 1)] * 2
    assert rank_models(items_of(np.stack([np.ones(6), np.zeros(6)], axis=1)))[0] == RankSet(1, 1, 2, 1)  # 2/64


def test_the_p_value_of_a_pair_is_the_one_sample_t_test_where_concepts_have_one_item_each() -> None:
    rng = np.random.default_rng(1)
    credit = (rng.random((60, 2)) < (0.7, 0.5)).astype(float)
    found = ranks._compare_pairs(items_of(credit))
    expected = ttest_1samp(credit[:, 0] - credit[:, 1], 0, alternative="greater").pvalue
    assert found[0, 1] == pytest.approx(expected)
    assert found[1, 0] == pytest.approx(1 - expected)


def test_a_pair_without_shared_items_stays_open_and_a_model_without_any_has_no_rank() -> None:
    nothing = np.full(30, np.nan)
    first = np.concatenate([np.ones(30), nothing, nothing])
    second = np.concatenate([np.zeros(30), np.ones(30), nothing])
    third = np.concatenate([nothing, np.zeros(30), nothing])
    alone = np.concatenate([nothing, nothing, np.ones(30)])
    found = rank_models(items_of(np.stack([first, second, third, alone], axis=1)))
    assert found == [RankSet(1, 2, 3, 1), RankSet(2, 2, 3, 2), RankSet(2, 3, 3, 1), None]
    assert [say_rank(rank) for rank in found] == ["1 to 2 of 3", "2 of 3", "2 to 3 of 3", ""]


def test_each_metric_counts_the_same_whatever_its_number_of_items() -> None:
    better = np.concatenate([np.ones(10), np.zeros(100)])
    columns = ["few"] * 10 + ["many"] * 100
    clusters = np.concatenate([np.arange(10), np.arange(100)])
    sample = ranks._sample(items_of(np.zeros((110, 2)), columns, clusters), np.ones(110, bool))
    assert sample.mean(better) == pytest.approx(0.5)


def test_items_of_one_concept_are_not_independent() -> None:
    rng = np.random.default_rng(2)
    wins = rng.permutation(np.repeat([1.0, 0.0], [9, 3]))
    credit = np.stack([np.repeat(wins, 10), np.repeat(1 - wins, 10)], axis=1)
    assert rank_models(items_of(credit))[0] == RankSet(1, 1, 2, 1)
    assert rank_models(items_of(credit, clusters=np.repeat(np.arange(12), 10)))[0] == RankSet(1, 2, 2, 1)
