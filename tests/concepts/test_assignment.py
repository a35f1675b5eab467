"""Rules that a pair must pass, the share of random pairs that are less alike, and twins that cover evenly."""

import json
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cultureclip.concepts import assignment
from cultureclip.concepts.assignment import choose_pairs
from cultureclip.concepts.chance import count_below, random_cosines
from cultureclip.concepts.neighbours import culture_matrix
from cultureclip.concepts.selection import Worth
from tests.concepts.test_twins import SETTINGS, make_concepts, match


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"min_chance_quantile": 0.9}, assignment.CHANCE),
        ({"min_kind_similarity": 0.9}, assignment.OTHER_THINGS),
        ({"max_cultural_overlap": 0.3}, assignment.SAME_CONTEXT),
        ({"max_shared_features": 0.3}, assignment.SHARED_FEATURES),
    ],
)
def test_a_pair_beyond_a_bound_is_refused_for_it(changes: dict[str, float], reason: str) -> None:
    concepts, looks, contexts = make_concepts(60, 1)
    concepts["key_visual_features"] = [
        ["round", "red"] if i % 2 else ["round", f"mark {i}", f"edge {i}"] for i in range(60)
    ]
    concepts.loc[(concepts["universal"] == "hat") & (concepts.index % 2 == 0), "universal"] = "cap"
    strict = match(concepts, looks, contexts, **changes).set_index("twin_id")
    plain = match(concepts, looks, contexts).set_index("twin_id")
    assert set(strict.index) == set(plain.index)
    features, universals = (concepts.set_index("concept_id")[name] for name in ("key_visual_features", "universal"))
    for twin, row in strict.iterrows():
        if plain.loc[twin, "reason"] == assignment.TOO_DIFFERENT:
            continue
        a, b = set(features[row["a_concept_id"]]), set(features[row["b_concept_id"]])
        beyond = {
            assignment.CHANCE: json.loads(row["evidence"])["shared_look"]["above_random_pairs"] < 0.9,
            assignment.OTHER_THINGS: universals[row["a_concept_id"]] != universals[row["b_concept_id"]],
            assignment.SAME_CONTEXT: row["cultural_overlap"] > 0.3,
            assignment.SHARED_FEATURES: len(a & b) / len(a | b) > 0.3,
        }
        assert (row["reason"] == reason) == beyond[reason], row
    assert 3 < (strict["reason"] == reason).sum() < len(strict)
    assert (strict["verdict"] == "accepted").any()


def test_random_pairs_share_no_culture_and_give_the_quantile() -> None:
    concepts, looks, _ = make_concepts(80, 2)
    groups = concepts["universal"].to_numpy()
    for group, cosines in random_cosines(concepts, looks, groups).items():
        rows = np.flatnonzero(groups == group)
        sets = [set(concepts["cultures"][row]) for row in rows]
        foreign = np.array([[not a & b for a in sets] for b in sets])
        everything = (looks[rows] @ looks[rows].T)[foreign]
        assert np.abs(cosines[:, None] - np.unique(everything)).min(axis=1).max() < 2e-6
        for quantile in (0.1, 0.5, 0.9, 0.99):
            value = np.quantile(everything, quantile)
            (below,) = count_below(np.array([value]), np.array([group]), {group: cosines})
            assert below == pytest.approx(quantile, abs=0.02)


def test_a_group_of_one_culture_has_no_random_pairs() -> None:
    concepts, looks, _ = make_concepts(20, 3)
    concepts["cultures"] = [["JP"]] * 20
    groups = np.full(20, "hat")
    assert len(random_cosines(concepts, looks, groups)["hat"]) == 0


def choose(cultures: list[list[str]], most: int, **changes: bool | int) -> tuple[list[tuple[int, int]], pd.DataFrame]:
    """All foreign pairs, those of low numbers first."""
    count = len(cultures)
    ends = [(a, b) for a in range(count) for b in range(a + 1, count) if not set(cultures[a]) & set(cultures[b])]
    pairs = pd.DataFrame(ends, columns=["a", "b"]).assign(kind="other", category="Art", score=0.5, review=None)
    settings = SETTINGS.model_copy(update={"max_twins_per_kind": {"other": most}, **changes})
    worth = Worth(pairs, np.eye(count, dtype=np.float32), culture_matrix(cultures), settings)
    reasons = choose_pairs(pairs, np.full(len(pairs), None), cultures, worth, settings)
    return [end for end, reason in zip(ends, reasons, strict=True) if reason is None], pairs


def test_even_twins_cover_concepts_and_cultures() -> None:
    cultures = [[code] for code in ["JP"] * 10 + ["KR"] * 10 + ["PE"] * 3 + ["BT"] * 3]
    twins = {}
    for evenly in (False, True):
        chosen, _ = choose(cultures, 12, cover_evenly=evenly, max_twins_per_concept=3)
        assert len(chosen) == 12
        of_concept = Counter(end for pair in chosen for end in pair)
        of_culture = Counter(cultures[end][0] for pair in chosen for end in pair)
        twins[evenly] = (max(of_concept.values()), len(of_concept), of_culture)
    assert twins[False][0] == 3
    assert twins[True][:2] == (1, 24), "each concept once before any twice"
    assert twins[False][2]["BT"] == 0
    assert {code: twins[True][2][code] for code in ("PE", "BT")} == {"PE": 3, "BT": 3}, "all that they have"


def test_even_choice_equals_a_naive_one() -> None:
    rng = np.random.default_rng(0)
    cultures = [sorted(rng.choice(["JP", "KR", "CN", "MX"], rng.integers(1, 3), False).tolist()) for _ in range(16)]
    chosen, pairs = choose(cultures, 10, cover_evenly=True)
    of_concept: Counter[int] = Counter()
    of_culture: Counter[str] = Counter()
    left = list(zip(pairs["a"].tolist(), pairs["b"].tolist(), strict=True))
    naive = []
    while len(naive) < 10:
        left = [pair for pair in left if max(of_concept[end] for end in pair) < 2]
        best = min(
            left,
            key=lambda pair: (
                max(of_concept[end] for end in pair),
                sum(max(of_culture[code] for code in cultures[end]) for end in pair),
            ),
        )
        left.remove(best)
        naive.append(best)
        of_concept.update(best)
        of_culture.update(code for end in best for code in cultures[end])
    assert chosen == sorted(naive)


@pytest.mark.parametrize("block", [1, 5, 10_000])
@pytest.mark.parametrize("changes", [{}, {"cover_evenly": True}, {"max_twins_per_culture": 3}])
def test_pairs_that_are_left_out_in_blocks_have_the_reason_that_one_by_one_gives(
    monkeypatch: pytest.MonkeyPatch, block: int, changes: dict[str, Any]
) -> None:
    cultures = [[code] for code in ("JP", "KR", "PE", "BT") * 10]
    ends = np.array([(a, b) for a in range(40) for b in range(a + 1, 40) if a % 4 != b % 4 and a % 2 == b % 2])
    rng = np.random.default_rng(1)
    pairs = pd.DataFrame(ends[rng.permutation(len(ends))], columns=["a", "b"]).assign(category="Art", review=None)
    pairs["kind"] = np.where(pairs["a"] % 2, "flag", "other")
    pairs["score"] = np.sort(rng.integers(0, 9, len(pairs)) / 10)[::-1]
    limits = {"flag": 6, "other": 100}
    fixed = {"max_twins_per_kind": limits, "max_twins_per_concept": 2}
    settings = SETTINGS.model_copy(update=fixed | changes)
    monkeypatch.setattr(assignment, "_PAIRS_AT_ONCE", block)
    worth = Worth(pairs, np.eye(40, dtype=np.float32), culture_matrix(cultures), settings)
    reasons = choose_pairs(pairs, np.full(len(pairs), None), cultures, worth, settings)
    of_concept: Counter[int] = Counter()
    of_culture: Counter[str] = Counter()
    of_kind: Counter[str] = Counter()
    naive: dict[int, str | None] = {}

    def turn(place: int) -> tuple[Any, ...]:
        own = [pairs["a"][place], pairs["b"][place]]
        even = (max(of_concept[end] for end in own), sum(of_culture[cultures[end][0]] for end in own))
        return (*(even if settings.cover_evenly else ()), -pairs["score"][place], place)

    while len(naive) < len(pairs):
        place = min((p for p in range(len(pairs)) if p not in naive), key=turn)
        own, kind = [int(pairs["a"][place]), int(pairs["b"][place])], pairs["kind"][place]
        codes = [cultures[end][0] for end in own]
        naive[place] = None
        if max(of_concept[end] for end in own) >= 2:
            naive[place] = assignment.CONCEPT_USED
        elif of_kind[kind] >= limits[kind]:
            naive[place] = assignment.KIND_FULL
        elif max(of_culture[code] for code in codes) >= (settings.max_twins_per_culture or 99):
            naive[place] = assignment.CULTURE_FULL
        else:
            of_concept.update(own)
            of_culture.update(codes)
            of_kind[kind] += 1
    expected = [naive[place] for place in range(len(pairs))]
    assert list(reasons) == expected
    assert assignment.CONCEPT_USED in expected or assignment.CULTURE_FULL in expected
