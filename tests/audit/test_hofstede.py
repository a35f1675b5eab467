"""Indices against a computation by hand, tau against a count of pairs, and models without an opinion."""

import itertools

import numpy as np
import pandas as pd
import pytest

from cultureclip.audit.measures.hofstede import (
    INDICES,
    IndexSettings,
    compute_indices,
    estimate_indices,
    estimate_tau,
    share_misranked,
)

BY_HAND = {item: 1 + item % 5 for item in range(1, 25)}
"""Items 1, 2, 3 ... have means 2, 3, 4, 5, 1, 2 ..."""


def test_the_six_indices_by_hand():
    found = compute_indices(BY_HAND, IndexSettings(constants={"pdi": 50}))
    assert found == {
        "pdi": 35 * (3 - 3) + 25 * (1 - 4) + 50,  # m7 = 3, m2 = 3, m20 = 1, m23 = 4
        "idv": 35 * (5 - 2) + 35 * (5 - 2),  # m4 = 5, m1 = 2, m9 = 5, m6 = 2
        "mas": 35 * (1 - 4) + 35 * (4 - 1),  # m5 = 1, m3 = 4, m8 = 4, m10 = 1
        "uai": 40 * (4 - 1) + 25 * (2 - 5),  # m18 = 4, m15 = 1, m21 = 2, m24 = 5
        "lto": 40 * (4 - 5) + 25 * (5 - 3),  # m13 = 4, m14 = 5, m19 = 5, m22 = 3
        "ivr": 35 * (3 - 2) + 40 * (3 - 2),  # m12 = 3, m11 = 2, m17 = 3, m16 = 2
    }


def test_the_papers_printed_weight_is_an_option():
    assert compute_indices(BY_HAND, IndexSettings(mas_second_weight=25))["mas"] == 35 * (1 - 4) + 25 * (4 - 1)


def test_an_index_with_a_missing_item_is_null_and_the_others_stay():
    found = compute_indices({item: m for item, m in BY_HAND.items() if item != 20}, IndexSettings())
    assert found["pdi"] is None
    assert [name for name, value in found.items() if value is None] == ["pdi"]


def asked(wordings: int, answer) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    cells = list(itertools.product(range(1, 25), range(wordings)))
    items, worded = np.array(cells).T
    return items, worded, np.array([answer(item, wording) for item, wording in cells], float)


def test_a_model_that_always_answers_three_has_the_constants_and_no_interval():
    found = estimate_indices(*asked(4, lambda item, wording: 3), IndexSettings(constants={"uai": 10}))
    assert {name: value for name, (value, _) in found.items()} == dict.fromkeys(INDICES, 0) | {"uai": 10}
    assert all(interval is None for _, interval in found.values())


def test_the_interval_is_the_t_interval_of_the_wordings_own_indices():
    """Every wording asks every item once, so an index is the mean of the wordings' indices."""
    shifts = (0, 1, 3, 2)
    found = estimate_indices(*asked(4, lambda item, w: 1 + (shifts[w] if item == 7 else 0)), IndexSettings())
    value, interval = found["pdi"]
    own = 35 * np.array(shifts)
    assert value == pytest.approx(own.mean())
    half = 3.18244630528 * own.std(ddof=1) / 2  # t of 3 degrees, root of 4 wordings
    assert (interval.low, interval.high) == pytest.approx((own.mean() - half, own.mean() + half))
    assert found["idv"] == (0, None)


def test_one_wording_and_an_item_that_one_wording_alone_answered_have_no_interval():
    assert estimate_indices(*asked(1, lambda item, w: item % 5 + 1), IndexSettings())["pdi"][1] is None
    items, worded, answers = asked(2, lambda item, w: 1 + (item + w) % 5)
    kept = ~((items == 7) & (worded == 1))
    found = estimate_indices(items[kept], worded[kept], answers[kept], IndexSettings())
    assert found["pdi"][0] is not None
    assert found["pdi"][1] is None


def tau_by_pairs(a, b) -> float:
    """(concordant - discordant) / sqrt((pairs - ties of a) (pairs - ties of b)), pair by pair."""
    pairs = list(itertools.combinations(range(len(a)), 2))
    score = sum(np.sign(a[i] - a[j]) * np.sign(b[i] - b[j]) for i, j in pairs)
    free = [sum(side[i] != side[j] for i, j in pairs) for side in (a, b)]
    return score / np.sqrt(free[0] * free[1])


def test_tau_b_counts_pairs_and_ties():
    a, b = np.array([1, 2, 2, 4, 5]), np.array([3, 1, 2, 2, 9])
    # ten pairs: 5 agree, 3 do not, 1 is tied in each: 2 / sqrt(9 * 9)
    assert tau_by_pairs(a, b) == pytest.approx(2 / 9)
    assert estimate_tau(a, b) == (pytest.approx(2 / 9), None)


def test_taus_interval_is_the_jackknifes_over_countries():
    rng = np.random.default_rng(5)
    a = rng.integers(0, 12, 20).astype(float)
    b = a + rng.normal(scale=4, size=20).round()
    value, interval = estimate_tau(a, b)
    assert value == pytest.approx(tau_by_pairs(a, b))
    without = np.arctanh([tau_by_pairs(np.delete(a, i), np.delete(b, i)) for i in range(20)])
    error = np.sqrt(19 / 20 * np.square(without - without.mean()).sum())
    ends = np.tanh(np.arctanh(value) + np.array([-1, 1]) * 2.09302405441 * error)  # t of 19 degrees
    assert (interval.low, interval.high) == pytest.approx(tuple(ends))


def test_without_an_order_there_is_no_tau():
    assert estimate_tau(np.full(9, 3.0), np.arange(9)) == (None, None)
    assert estimate_tau(np.array([1.0]), np.array([2.0])) == (None, None)
    three = [estimate_tau(np.array(order), np.arange(3)) for order in itertools.permutations(range(3))]
    assert {round(value, 2) for value, _ in three} == {-1, -0.33, 0.33, 1}
    assert all(interval is None for _, interval in three)


def test_countries_of_other_ranks_are_counted_per_index():
    frame = pd.DataFrame({name: [1.0, 2, 3] for name in INDICES}, index=["a", "b", "c"])
    model = frame.assign(pdi=[2.0, 1, 3], lto=[np.nan, 5, 4])
    # pdi: a and b swapped; lto: b and c swapped, a unknown there
    assert share_misranked(model, frame) == {"a": 1 / 5, "b": 2 / 6, "c": 1 / 6}
    assert share_misranked(frame * np.nan, frame) == dict.fromkeys("abc")
