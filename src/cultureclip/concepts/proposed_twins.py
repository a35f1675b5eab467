"""Pairs that a language model named, in the twins table: those that no check reached, and those that need none."""

import json
from typing import Any

import pandas as pd

from cultureclip.concepts.twin_proposals import SAME_CULTURE, TwinProposalSettings
from cultureclip.concepts.twins import split_twins
from cultureclip.ids import twin_id
from cultureclip.tables import TWINS, make_table

NO_PICTURE = "no picture, so the look is not checked"
ANOTHER_KIND = "of another kind"
_SCORES = ("visual_similarity", "cultural_overlap", "score")


def add_proposals(
    twins: pd.DataFrame,
    proposals: pd.DataFrame,
    concepts: pd.DataFrame,
    settings: TwinProposalSettings,
    dev_share: float,
) -> pd.DataFrame:
    """Add the pairs that a language model named and the matching did not consider.

    They are no twins: there is a side without a picture, or they share a culture, or they are of two kinds. With
    ``as_released`` 9 nobody looks: every pair that the model named is a twin.

    Args:
        twins: Table of twins, with what the matching considered.
        proposals: Table of proposals.
        concepts: The concepts that both name.
        settings: The defects to reproduce.
        dev_share: Share of the twins that the dev split gets, where nothing is checked and all are split again.
    """
    named = {twin_id(a, b): tuple(sorted((a, b))) for a, b in _ends(proposals)}
    considered = set(twins["twin_id"])
    missing = [ends for twin, ends in named.items() if twin not in considered]
    by_id = concepts.set_index("concept_id")
    added = make_table([_row(a, b, by_id) for a, b in missing], TWINS).astype(dict.fromkeys(_SCORES, float))
    if added.empty and not settings.unchecked:
        return twins
    table = pd.concat([twins, added], ignore_index=True) if len(added) else twins.copy()
    if settings.unchecked:
        taken = table["twin_id"].isin(list(named)) & (table["verdict"] != "accepted")
        table.loc[taken, "verdict"], table.loc[taken, "method"], table.loc[taken, "reason"] = "accepted", "llm", None
        accepted = table["verdict"] == "accepted"
        table.loc[accepted, "split"] = split_twins(table[accepted], dev_share)
    return table.sort_values("verdict", kind="stable", ignore_index=True)


def _ends(proposals: pd.DataFrame) -> list[tuple[str, str]]:
    named = proposals[["a_concept_id", "b_concept_id"]].dropna()
    return [(str(a), str(b)) for a, b in named.itertuples(index=False)]


def _row(a: str, b: str, by_id: pd.DataFrame) -> dict[str, Any]:
    first, second = by_id.loc[a], by_id.loc[b]
    reason = ANOTHER_KIND
    if not set(first["cultures"]).isdisjoint(second["cultures"]):
        reason = SAME_CULTURE
    elif pd.isna(first["reference_image"]) or pd.isna(second["reference_image"]):
        reason = NO_PICTURE
    return {
        "twin_id": twin_id(a, b),
        "a_concept_id": a,
        "b_concept_id": b,
        "a_name": first["name"],
        "b_name": second["name"],
        "category": first["category"],
        **dict.fromkeys(_SCORES),
        "method": "llm",
        "evidence": json.dumps({"checked": False}),
        "split": None,
        "verdict": "rejected",
        "reason": reason,
    }
