"""What is left of each culture after every step, and what a bounded table says of the pairs that it leaves out."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from cultureclip.concepts import assignment
from cultureclip.concepts.yields import STEPS, tabulate_yields
from cultureclip.tables import CULTURE_YIELDS
from tests.concepts.test_twins import make_concepts, match_all


def test_counts_are_those_of_a_naive_count() -> None:
    concepts, looks, contexts = make_concepts(60, 4)
    concepts.loc[:5, "terms"] = "eval_only"
    ids = list(concepts["concept_id"])
    stands_for = [ids[0] if row in (10, 11) else ids[row] for row in range(60)]
    strict = {"min_visual_similarity": 0.9, "neighbours": 80}
    found = match_all(concepts, looks, contexts, stands_for, **strict)
    unseen = concepts.iloc[:1].assign(concept_id="f" * 20, cultures=[["PE"]])
    everything = pd.concat([concepts, unseen], ignore_index=True)
    yields = tabulate_yields(everything, found.steps, found.coverage)
    CULTURE_YIELDS.validate(yields)
    pairs = found.twins
    ends = {
        "considered": pairs,
        "passed": pairs[pairs["reason"].isin([assignment.CONCEPT_USED, assignment.KIND_FULL]) | pairs["reason"].isna()],
        "in_twins": pairs[pairs["reason"].isna()],
    }
    reached = {name: set(table[["a_concept_id", "b_concept_id"]].to_numpy().ravel()) for name, table in ends.items()}
    reached["distinct"] = {ids[row] for row in range(60) if row not in (10, 11)}
    reached["allowed"] = reached["distinct"] - set(ids[:6])
    reached["considered"] &= reached["allowed"]
    reached |= {"with_picture": set(ids), "concepts": {*ids, "f" * 20}}
    assert len(reached["in_twins"]) > 5
    for step, who in reached.items():
        home = everything[everything["concept_id"].isin(who)]["cultures"]
        expected = Counter(code for codes in home for code in codes)
        assert dict(zip(yields["culture"], yields[step], strict=True)) == {
            code: expected[code] for code in ("CN", "JP", "KR", "MX", "PE")
        }, step
    assert yields.set_index("culture")["coverage"].isna().to_dict() == {
        code: code == "PE" for code in ("CN", "JP", "KR", "MX", "PE")
    }
    assert set(STEPS) < set(yields.columns)


@pytest.mark.parametrize("kept", [0, 1, 5])
def test_the_table_keeps_the_most_alike_of_each_reason_and_all_are_counted(kept: int) -> None:
    concepts, looks, contexts = make_concepts(80, 0)
    whole = match_all(concepts, looks, contexts)
    found = match_all(concepts, looks, contexts, rejected_kept=kept)
    assert (found.considered, found.refused) == (whole.considered, whole.refused)
    assert found.considered == len(whole.twins)
    assert sum(found.refused.values()) == (whole.twins["verdict"] == "rejected").sum()
    accepted = [table[table["verdict"] == "accepted"] for table in (found.twins, whole.twins)]
    pd.testing.assert_frame_equal(*accepted)
    refused = found.twins[found.twins["verdict"] == "rejected"]
    assert len(refused) == sum(min(kept, count) for count in whole.refused.values())
    for reason, rows in refused.groupby("reason"):
        alike = whole.twins.loc[whole.twins["reason"] == reason, "visual_similarity"].to_numpy()
        assert sorted(rows["visual_similarity"]) == sorted(np.sort(alike)[-len(rows) :])
