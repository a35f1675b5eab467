"""Twins: who is matched with whom, why others are not, and the split."""

import json
from collections import Counter
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cultureclip.concepts import assignment
from cultureclip.concepts.matching import Matching
from cultureclip.concepts.reviews import settle
from cultureclip.concepts.settings import SearchSettings, TwinSettings
from cultureclip.concepts.twins import match_twins, split_twins
from cultureclip.errors import SourceDataError
from cultureclip.ids import concept_id
from cultureclip.tables import TWIN_REVIEWS, TWINS, make_table

SETTINGS = TwinSettings(
    picture_size=48,
    indistinguishable_below=0.5,
    neighbours=10,
    search=SearchSettings(exact_up_to=1000, recall=1.0, sample=100),
    context_weight=0.25,
    min_visual_similarity=0.2,
    min_chance_quantile=0,
    min_kind_similarity=-1,
    max_cultural_overlap=1,
    max_shared_features=1,
    max_twins_per_concept=2,
    max_twins_per_kind={"flag": 100, "other": 100},
    max_twins_per_category={},
    max_twins_per_culture=None,
    dev_share=0.1,
    cover_evenly=False,
    representativeness_weight=0,
    distinctiveness_weight=0,
    rejected_shown=3,
    rejected_kept=10_000,
)


NO_REVIEWS = settle(make_table([], TWIN_REVIEWS))


def make_concepts(count: int, seed: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    kinds = rng.choice(["flag", "hat"], count)
    concepts = pd.DataFrame(
        {
            "name": [f"thing {i}" for i in range(count)],
            "cultures": [sorted(rng.choice(["JP", "KR", "CN", "MX"], rng.integers(1, 3), False)) for _ in range(count)],
            "universal": kinds,
            "category": ["Symbol" if k == "flag" else rng.choice(["Symbol", "Clothing"]) for k in kinds],
            "key_visual_features": [["round", f"mark {i}"] for i in range(count)],
            "aliases": [[f"alias {i}"] for i in range(count)],
            "terms": "train",
        }
    )
    concepts["concept_id"] = [
        concept_id(r.name_, r.cultures, r.category) for r in concepts.rename(columns={"name": "name_"}).itertuples()
    ]
    looks, contexts = (rng.normal(size=(count, d)).astype(np.float32) for d in (4, 6))
    return concepts, *(v / np.linalg.norm(v, axis=1, keepdims=True) for v in (looks, contexts))


def embed_words(concepts: pd.DataFrame) -> dict[str, np.ndarray]:
    """Directions in a plane that turn by a radian from universal to universal."""
    words = sorted(set(concepts["universal"]))
    return {word: np.array([np.cos(i), np.sin(i)], np.float32) for i, word in enumerate(words)}


def match_all(
    concepts: pd.DataFrame,
    looks: np.ndarray,
    contexts: np.ndarray,
    stands_for: list[str] | None = None,
    reviews: pd.DataFrame = NO_REVIEWS,
    **changes: Any,
) -> Matching:
    settings = SETTINGS.model_copy(update=changes)
    words = embed_words(concepts)
    found = match_twins(concepts, looks, contexts, words, stands_for or list(concepts["concept_id"]), reviews, settings)
    TWINS.validate(found.twins)
    return found


def match(*data: Any, **changes: Any) -> pd.DataFrame:
    return match_all(*data, **changes).twins


def test_every_twin_keeps_the_rules() -> None:
    concepts, looks, contexts = make_concepts(80, 0)
    table = match(concepts, looks, contexts, max_twins_per_kind={"flag": 9, "other": 100})
    row_of = concepts.set_index("concept_id")
    accepted = table[table["verdict"] == "accepted"]
    assert len(accepted) > 20
    assert accepted["reason"].isna().all()
    assert (accepted["visual_similarity"] >= 0.2).all()
    for pair in accepted.itertuples():
        a, b = row_of.loc[pair.a_concept_id], row_of.loc[pair.b_concept_id]
        assert (pair.a_name, pair.b_name) == (a["name"], b["name"])
        assert not set(a["cultures"]) & set(b["cultures"])
        assert a["category"] == b["category"] == pair.category
        assert (a["universal"] == "flag") == (b["universal"] == "flag")
        evidence = json.loads(pair.evidence)
        assert evidence["shared_look"]["features"] == ["round"]
        assert evidence["differing_features"]["a"] == [a["key_visual_features"][1]]
    assert max(Counter([*accepted["a_concept_id"], *accepted["b_concept_id"]]).values()) <= 2
    flags = accepted["a_concept_id"].map(row_of["universal"]) == "flag"
    assert flags.sum() == 9
    refused = table[table["verdict"] == "rejected"]
    assert refused["split"].isna().all()
    assert set(refused["reason"]) == {assignment.TOO_DIFFERENT, assignment.CONCEPT_USED, assignment.KIND_FULL}


def test_choice_equals_a_naive_greedy_one() -> None:
    concepts, looks, contexts = make_concepts(30, 1)
    table = match(concepts, looks, contexts, neighbours=30)
    pairs = []
    for i in range(30):
        for j in range(i):
            a, b = concepts.iloc[i], concepts.iloc[j]
            same_kind = a["category"] == b["category"] and (a["universal"] == "flag") == (b["universal"] == "flag")
            if same_kind and not set(a["cultures"]) & set(b["cultures"]):
                similarity = float(looks[i] @ looks[j])
                score = similarity - 0.25 * max(0.0, float(contexts[i] @ contexts[j]))
                pairs.append((score, similarity, a["concept_id"], b["concept_id"]))
    used: Counter[str] = Counter()
    chosen = set()
    for _, similarity, a_id, b_id in sorted(pairs, reverse=True):
        if similarity >= 0.2 and used[a_id] < 2 and used[b_id] < 2:
            used.update((a_id, b_id))
            chosen.add(frozenset((a_id, b_id)))
    accepted = table[table["verdict"] == "accepted"]
    assert {frozenset(p) for p in zip(accepted["a_concept_id"], accepted["b_concept_id"], strict=True)} == chosen
    assert len(table) == len(pairs)  # what was considered and refused stays in the table


def test_outcome_does_not_depend_on_the_order_of_rows() -> None:
    concepts, looks, contexts = make_concepts(40, 2)
    order = np.random.default_rng(0).permutation(40)
    shuffled = match(concepts.iloc[order].reset_index(drop=True), looks[order], contexts[order])
    pd.testing.assert_frame_equal(shuffled, match(concepts, looks, contexts))


def test_of_concepts_drawn_alike_only_the_representative_is_used() -> None:
    concepts, looks, contexts = make_concepts(40, 3)
    concepts["cultures"] = [[code] for code in np.resize(["JP", "KR", "CN", "MX"], 40)]
    ids = list(concepts["concept_id"])
    same = np.flatnonzero((concepts["universal"] == "flag").to_numpy())[:2]
    looks[same[1]] = looks[same[0]]
    concepts.at[same[0], "cultures"], concepts.at[same[1], "cultures"] = ["JP"], ["KR"]
    stands_for = ids.copy()
    stands_for[same[1]] = ids[same[0]]
    table = match(concepts, looks, contexts, stands_for)
    second = table[(table["a_concept_id"] == ids[same[1]]) | (table["b_concept_id"] == ids[same[1]])]
    assert len(second) > 0
    assert set(second["reason"]) == {assignment.INDISTINGUISHABLE}
    assert {ids[same[0]], ids[same[1]]} in [set(p) for p in second[["a_concept_id", "b_concept_id"]].to_numpy()]
    accepted = table[table["verdict"] == "accepted"]
    assert ids[same[0]] in {*accepted["a_concept_id"], *accepted["b_concept_id"]}


def test_a_concept_for_evaluation_only_is_in_no_twin_and_every_pair_with_it_says_why() -> None:
    concepts, looks, contexts = make_concepts(40, 6)
    before = match(concepts, looks, contexts)
    accepted = before[before["verdict"] == "accepted"].iloc[0]
    held_out = accepted["a_concept_id"]
    concepts.loc[concepts["concept_id"] == held_out, "terms"] = "eval_only"
    concepts.loc[concepts["concept_id"] == accepted["b_concept_id"], "terms"] = "no_redistribute"  # may be trained on
    table = match(concepts, looks, contexts)
    assert set(table["twin_id"]) == set(before["twin_id"])  # nothing is dropped
    with_it = (table["a_concept_id"] == held_out) | (table["b_concept_id"] == held_out)
    assert set(table[with_it]["reason"]) == {assignment.EVALUATION_ONLY}
    assert assignment.EVALUATION_ONLY not in set(table[~with_it]["reason"])
    freed = (table["a_concept_id"] == accepted["b_concept_id"]) | (table["b_concept_id"] == accepted["b_concept_id"])
    assert (table[freed]["verdict"] == "accepted").any()


def test_two_names_of_one_thing_are_no_twin() -> None:
    concepts, looks, contexts = make_concepts(40, 9)
    first = match(concepts, looks, contexts).iloc[0]
    assert first["verdict"] == "accepted"
    a, b = (int(first[f"{side}_name"].removeprefix("thing ")) for side in "ab")
    concepts.at[a, "aliases"] = ["other", f"Thing {b}"]
    table = match(concepts, looks, contexts).set_index("twin_id")
    assert table.loc[first["twin_id"], "reason"] == assignment.SAME_NAME


def test_the_search_in_cells_finds_the_same_twins() -> None:
    concepts, looks, contexts = make_concepts(120, 7)
    in_cells = SearchSettings(exact_up_to=0, recall=1.0, sample=1000)
    pd.testing.assert_frame_equal(match(concepts, looks, contexts, search=in_cells), match(concepts, looks, contexts))


@pytest.mark.parametrize("which", ["looks", "contexts"])
def test_an_embedding_that_is_not_finite_is_named_by_its_concept(which: str) -> None:
    concepts, looks, contexts = make_concepts(20, 8)
    {"looks": looks, "contexts": contexts}[which][3, 1] = np.nan
    with pytest.raises(SourceDataError, match=f"{which}, thing 3: 1 vectors are not finite"):
        match(concepts, looks, contexts)


def test_no_pair_at_all_is_an_error_of_the_table() -> None:
    concepts, looks, contexts = make_concepts(5, 4)
    concepts["cultures"] = [["JP"]] * 5
    with pytest.raises(SourceDataError, match=r"5 concepts .* share no culture"):
        match(concepts, looks, contexts)


def test_a_kind_that_is_not_wanted_gets_no_twins() -> None:
    concepts, looks, contexts = make_concepts(40, 5)
    table = match(concepts, looks, contexts, max_twins_per_kind={"other": 0})
    assert set(table["verdict"]) == {"rejected"}
    assert table["split"].isna().all()


@settings(max_examples=80, deadline=None)
@given(
    edges=st.sets(
        st.tuples(st.integers(0, 40), st.integers(0, 40)).filter(lambda e: e[0] < e[1]), min_size=1, max_size=60
    ),
    share=st.sampled_from([0.0, 0.1, 0.5]),
)
def test_no_concept_is_on_both_sides(edges: set[tuple[int, int]], share: float) -> None:
    table = pd.DataFrame([(f"c{a}", f"c{b}") for a, b in sorted(edges)], columns=["a_concept_id", "b_concept_id"])
    split = np.array(split_twins(table, share))
    sides = {s: set(table[split == s].to_numpy().ravel()) for s in ("train", "dev")}
    assert not sides["train"] & sides["dev"]
    assert (split == "dev").sum() <= np.ceil(share * len(table))
    assert (split == "train").any()
    graph = nx.Graph(table.to_numpy().tolist())
    for component in nx.connected_components(graph):
        assert len({s for s in sides if component & sides[s]}) == 1
    shuffled = table.iloc[::-1].reset_index(drop=True)
    assert list(split_twins(shuffled, share)) == list(split[::-1])


def test_dev_gets_its_share_of_single_pairs() -> None:
    table = pd.DataFrame({"a_concept_id": [f"a{i}" for i in range(70)], "b_concept_id": [f"b{i}" for i in range(70)]})
    assert split_twins(table, 0.1).count("dev") == 7


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_a_single_component_is_train(share: float) -> None:
    table = pd.DataFrame({"a_concept_id": ["a", "b"], "b_concept_id": ["b", "c"]})
    assert split_twins(table, share) == ["train", "train"]
