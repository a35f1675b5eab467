"""The candidates that a twin's evidence lists as not taken, against a naive list of them."""

import json

import numpy as np
import pandas as pd
import pytest

from cultureclip.concepts import evidence
from cultureclip.concepts.evidence import SAME_CULTURE
from cultureclip.concepts.neighbours import pair_cosines
from tests.concepts.test_twins import make_concepts, match


def list_naively(table: pd.DataFrame, concepts: pd.DataFrame, looks: np.ndarray, concept: str) -> list[tuple]:
    refused = table[table["reason"].notna()]
    found = []
    for side, other in (("a", "b"), ("b", "a")):
        for pair in refused[refused[f"{side}_concept_id"] == concept].to_dict("records"):
            found.append((pair["visual_similarity"], pair[f"{other}_name"], pair["reason"]))
    (row,) = np.flatnonzero(concepts["concept_id"] == concept)
    here = concepts.iloc[row]
    for place, there in concepts.iterrows():
        comparable = (here["universal"] == "flag", here["category"]) == (
            there["universal"] == "flag",
            there["category"],
        )
        if place != row and comparable and set(here["cultures"]) & set(there["cultures"]):
            found.append((round(float((looks[place] * looks[row]).sum()), 6), there["name"], SAME_CULTURE))
    return sorted(found, key=lambda candidate: -candidate[0])


@pytest.mark.parametrize("shown", [0, 1, 4])
def test_lists_the_most_similar_ones_with_the_reason(shown: int) -> None:
    concepts, looks, contexts = make_concepts(50, 11)
    table = match(concepts, looks, contexts, rejected_shown=shown, max_twins_per_kind={"flag": 100, "other": 6})
    reasons = set()
    for pair in table.to_dict("records"):
        evidence = json.loads(pair["evidence"])
        if pair["reason"] is not None and pair["reason"] == pair["reason"]:
            assert "rejected_candidates" not in evidence
            continue
        for side in ("a", "b"):
            listed = evidence["rejected_candidates"][side]
            naive = list_naively(table, concepts, looks, pair[f"{side}_concept_id"])[:shown]
            assert [(c["visual_similarity"], c["name"], c["reason"]) for c in listed] == naive
            assert all(concepts.set_index("concept_id").loc[c["concept_id"], "name"] == c["name"] for c in listed)
            reasons |= {candidate["reason"] for candidate in listed}
    assert len(reasons) >= min(2, shown)
    assert not shown or SAME_CULTURE in reasons


@pytest.mark.parametrize("cells", [1, 100, 1 << 24])
@pytest.mark.parametrize("most", [0, 1, 3, 500])
def test_the_most_alike_of_the_own_culture_are_those_of_all_comparisons(
    monkeypatch: pytest.MonkeyPatch, most: int, cells: int
) -> None:
    monkeypatch.setattr(evidence, "_CELLS_AT_ONCE", cells)
    concepts, looks, _ = make_concepts(90, 4)
    looks[::9] = looks[0]  # equally alike: the first ones count
    groups = (concepts["universal"] + concepts["category"]).to_numpy()
    rows = np.arange(0, 90, 3)
    found = evidence.find_own_culture(rows, concepts, looks, groups, most)
    naive = []
    for row in rows.tolist():
        sets = concepts["cultures"].map(set)
        own = [i for i in range(90) if i != row and groups[i] == groups[row] and sets[i] & sets[row]]
        cosines = pair_cosines(looks, np.full(len(own), row), np.array(own, np.int64))
        order = sorted(zip(-cosines, own, strict=True))[:most]
        naive += [(row, other, -cosine) for cosine, other in order]
    assert list(found[["a", "b", "visual_similarity"]].itertuples(index=False, name=None)) == naive
