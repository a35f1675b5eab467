"""Representativeness, distinctiveness and the choice by them, against naive versions of the formulas."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from cultureclip.concepts import assignment, selection
from cultureclip.concepts.assignment import choose_pairs
from cultureclip.concepts.neighbours import culture_matrix
from cultureclip.concepts.selection import Representation, Worth, measure_coverage, measure_distinctiveness
from tests.concepts.test_twins import SETTINGS, make_concepts, match


def make_contexts(count: int, seed: int) -> tuple[np.ndarray, list[list[str]]]:
    rng = np.random.default_rng(seed)
    contexts = rng.normal(size=(count, 5)).astype(np.float32)
    cultures = [sorted(rng.choice(["JP", "KR", "CN", "MX"], rng.integers(1, 3), False).tolist()) for _ in range(count)]
    return contexts / np.linalg.norm(contexts, axis=1, keepdims=True), cultures


def coverage_of(culture: str, chosen: list[int], contexts: np.ndarray, cultures: list[list[str]]) -> float:
    """F of the module's docstring."""
    members = [row for row, own in enumerate(cultures) if culture in own]
    chosen = [row for row in chosen if culture in cultures[row]]
    return float(np.mean([max([0.0, *(float(contexts[i] @ contexts[j]) for j in chosen)]) for i in members]))


def test_representation_is_facility_location() -> None:
    contexts, cultures = make_contexts(30, 0)
    represented = Representation(contexts, culture_matrix(cultures))
    chosen: list[int] = []
    for row in (3, 17, 4, 3, 22):
        before, after = (
            np.mean([coverage_of(culture, rows, contexts, cultures) for culture in cultures[row]])
            for rows in (chosen, [*chosen, row])
        )
        assert represented.gain(row) == pytest.approx(after - before, abs=2e-6)
        represented.take(row)
        chosen.append(row)
    expected = [coverage_of(culture, chosen, contexts, cultures) for culture in ("CN", "JP", "KR", "MX")]
    taken = np.isin(np.arange(30), chosen)
    assert measure_coverage(contexts, culture_matrix(cultures), taken) == pytest.approx(expected, abs=2e-6)
    assert not measure_coverage(contexts, culture_matrix(cultures), taken & False).any()
    assert represented.gain(22) == 0, "it stands for itself already"


@pytest.mark.parametrize("kept", [0, 400, 1 << 30])
def test_gains_of_many_are_those_of_each(monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    monkeypatch.setattr(selection, "_ROWS_AT_ONCE", 7)
    monkeypatch.setattr(selection, "_COLUMNS_AT_ONCE", 3)
    monkeypatch.setattr(selection, "_KEPT_BYTES", kept)
    contexts, cultures = make_contexts(60, 5)
    matrix, rows = culture_matrix(cultures), np.array([1, 2, 5, 17, 30, 59])
    at_once, one_by_one = Representation(contexts, matrix), Representation(contexts, matrix)
    for chosen in (5, 40, 5, 59):
        expected = [one_by_one.gain(int(row)) for row in rows]
        assert at_once.gains(rows) == pytest.approx(expected, abs=2e-6)
        assert [at_once.gain(int(row)) for row in rows] == at_once.gains(rows).tolist()
        at_once.take(chosen)
        one_by_one.take(chosen)


def test_distinctiveness_is_the_margin_to_other_cultures() -> None:
    contexts, cultures = make_contexts(25, 1)
    cultures[7] = ["PE"]  # the only one of its culture
    for row, margin in enumerate(measure_distinctiveness(contexts, culture_matrix(cultures))):
        means = {}
        for culture in ("CN", "JP", "KR", "MX", "PE"):
            others = [i for i, own in enumerate(cultures) if culture in own and i != row]
            means[culture] = sum(float(contexts[row] @ contexts[i]) for i in others) / (len(others) + 1)
        own, other = (max(means[c] for c in means if (c in cultures[row]) == at_home) for at_home in (True, False))
        assert margin == pytest.approx(own - other, abs=2e-6)


def test_a_table_of_one_culture_has_no_other_to_be_apart_from() -> None:
    contexts, _ = make_contexts(3, 2)
    margins = measure_distinctiveness(contexts, culture_matrix([["JP"]] * 3))
    assert margins[0] == pytest.approx(float(contexts[0] @ contexts[1] + contexts[0] @ contexts[2]) / 3, abs=2e-6)


def best_pair(
    ends: list[tuple[int, int]],
    score: np.ndarray,
    margin: np.ndarray,
    taken: list[tuple[int, int]],
    contexts: np.ndarray,
    cultures: list[list[str]],
    evenly: bool,
) -> tuple[int, int]:
    """The next twin by weights of 2 and 0.5, each concept in two twins at most."""
    chosen = [row for pair in taken for row in pair]
    used = Counter(chosen)
    of_culture = Counter(code for row in chosen for code in cultures[row])

    def covered(rows: list[int], row: int) -> float:
        return float(np.mean([coverage_of(culture, rows, contexts, cultures) for culture in cultures[row]]))

    def key(place: int) -> tuple[float, float, float, int]:
        a, b = ends[place]
        gains = [covered([*chosen, row], row) - covered(chosen, row) for row in (a, b)]
        worth = score[place] + 2.0 * sum(gains) / 2 + 0.5 * (margin[a] + margin[b]) / 2
        turns = sum(max(of_culture[code] for code in cultures[row]) for row in (a, b))
        even = (max(used[a], used[b]), turns) if evenly else (0, 0)
        return (*even, -round(worth, 5), place)

    left = [p for p, pair in enumerate(ends) if pair not in taken and max(used[end] for end in pair) < 2]
    return ends[min(left, key=key)]


@pytest.mark.parametrize("evenly", [False, True])
def test_choice_by_worth_equals_a_naive_one(evenly: bool) -> None:
    contexts, cultures = make_contexts(16, 3)
    ends = [(a, b) for a in range(16) for b in range(a + 1, 16) if not set(cultures[a]) & set(cultures[b])]
    score = np.random.default_rng(4).random(len(ends)).round(6)
    pairs = pd.DataFrame(ends, columns=["a", "b"]).assign(kind="other", category="Art", score=score, review=None)
    changes = {"max_twins_per_kind": {"other": 7}, "cover_evenly": evenly}
    weights = {"representativeness_weight": 2.0, "distinctiveness_weight": 0.5}
    settings = SETTINGS.model_copy(update=changes | weights)
    matrix = culture_matrix(cultures)
    reasons = choose_pairs(
        pairs, np.full(len(ends), None), cultures, Worth(pairs, contexts, matrix, settings), settings
    )
    margin = measure_distinctiveness(contexts, matrix)
    naive: list[tuple[int, int]] = []
    while len(naive) < 7:
        naive.append(best_pair(ends, score, margin, naive, contexts, cultures, evenly))
    assert [end for end, reason in zip(ends, reasons, strict=True) if reason is None] == sorted(naive)


def test_quotas_of_culture_and_category_hold_and_say_so() -> None:
    concepts, looks, contexts = make_concepts(80, 0)
    limits = {"max_twins_per_category": {"Clothing": 3}, "max_twins_per_culture": 7, "neighbours": 80}
    table = match(concepts, looks, contexts, **limits)
    accepted = table[table["verdict"] == "accepted"]
    home = concepts.set_index("concept_id")["cultures"]
    of_culture = Counter(code for side in "ab" for codes in accepted[f"{side}_concept_id"].map(home) for code in codes)
    assert max(of_culture.values()) == 7
    assert (accepted["category"] == "Clothing").sum() == 3
    full = table[table["reason"] == assignment.CATEGORY_FULL]
    assert set(full["category"]) == {"Clothing"}
    for row in table[table["reason"] == assignment.CULTURE_FULL].to_dict("records"):
        both = {code for side in "ab" for code in home[row[f"{side}_concept_id"]]}
        assert max(of_culture[code] for code in both) == 7
    assert (table["reason"] == assignment.CULTURE_FULL).any()
