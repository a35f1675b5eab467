"""Evidence of twins: what two concepts share, in what they differ, and the best candidates that were not taken."""

import json
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cultureclip.concepts.neighbours import culture_matrix, pair_cosines

SAME_CULTURE = "same culture"


def list_evidence(
    pairs: pd.DataFrame, concepts: pd.DataFrame, rejected: Mapping[int, Sequence[Mapping[str, Any]]]
) -> list[str]:
    """Return the evidence of each pair as JSON.

    Args:
        pairs: Columns a, b (row numbers of concepts), visual_similarity, chance, kind_similarity and reason; reason
            is null for twins.
        concepts: Rows of the concepts table, N.
        rejected: From :func:`list_rejected`.
    """
    used = np.unique(pairs[["a", "b"]].to_numpy()).tolist()
    rows = dict(zip(used, concepts.iloc[used].to_dict("records"), strict=True))
    evidence = []
    columns = (pairs[name].tolist() for name in ("a", "b", "visual_similarity", "chance", "kind_similarity"))
    for a, b, similarity, chance, kind, accepted in zip(*columns, pairs["reason"].isna(), strict=True):
        found = _compare(rows[a], rows[b], similarity, chance, kind)
        if accepted:
            found["rejected_candidates"] = {"a": rejected.get(a, []), "b": rejected.get(b, [])}
        evidence.append(json.dumps(found, ensure_ascii=False))
    return evidence


def list_rejected(
    pairs: pd.DataFrame, concepts: pd.DataFrame, looks: np.ndarray, groups: np.ndarray, shown: int
) -> dict[int, list[dict[str, Any]]]:
    """Return for each concept in a twin its most similar candidates that are not its twins, and why they are not.

    Candidates are the refused pairs, and the look-alikes that share a culture, which no search for twins considers.

    Args:
        pairs: As for :func:`list_evidence`, all that were considered.
        concepts: Rows of the concepts table, N.
        looks: L2-normalised, float32 [N, D].
        groups: Only rows of one group are compared, [N].
        shown: Candidates listed for each concept.
    """
    is_twin = pairs["reason"].isna()
    in_twins = np.unique(pairs.loc[is_twin, ["a", "b"]].to_numpy())
    refused = pairs.loc[~is_twin, ["a", "b", "visual_similarity", "reason"]]
    refused = pd.concat([refused, refused.rename(columns={"a": "b", "b": "a"})])
    refused = refused[refused["a"].isin(in_twins)]
    found = pd.concat([refused, find_own_culture(in_twins, concepts, looks, groups, shown)])
    found = found.sort_values(["a", "visual_similarity", "b"], ascending=[True, False, True]).groupby("a").head(shown)
    found["concept_id"] = concepts["concept_id"].to_numpy()[found["b"]]
    found["name"] = concepts["name"].to_numpy()[found["b"]]
    told = found[["concept_id", "name", "visual_similarity", "reason"]].to_dict("records")
    listed: dict[int, list[dict[str, Any]]] = {}
    for row, candidate in zip(found["a"].tolist(), told, strict=True):
        listed.setdefault(row, []).append({str(key): value for key, value in candidate.items()})
    return listed


def find_own_culture(
    rows: np.ndarray, concepts: pd.DataFrame, looks: np.ndarray, groups: np.ndarray, most: int
) -> pd.DataFrame:
    """Return the most similar concepts of each row's group that share a culture with it.

    Args:
        rows: Row numbers, sorted.
        concepts: As for :func:`list_rejected`.
        looks: As for :func:`list_rejected`.
        groups: As for :func:`list_rejected`.
        most: Concepts for each row.

    Returns:
        Columns a (one of the rows), b, visual_similarity and reason.
    """
    cultures = culture_matrix(list(concepts["cultures"]))
    at_home = cultures.tocsc()
    ends: list[tuple[int, int]] = []
    for row in rows.tolist():
        own = np.unique(np.concatenate([at_home[:, [code]].indices for code in cultures[[row]].indices]))
        own = own[(groups[own] == groups[row]) & (own != row)]
        best = np.argsort(-(looks[own] @ looks[row]), kind="stable")[:most]
        ends += [(row, other) for other in own[best].tolist()]
    a, b = np.array(ends, np.int64).reshape(-1, 2).T
    return pd.DataFrame({"a": a, "b": b, "visual_similarity": pair_cosines(looks, a, b), "reason": SAME_CULTURE})


def _compare(
    a: Mapping[Hashable, Any], b: Mapping[Hashable, Any], similarity: float, chance: float, kind: float
) -> dict[str, Any]:
    features_a, features_b = list(a["key_visual_features"]), list(b["key_visual_features"])
    shared = [feature for feature in features_a if feature in features_b]
    return {
        "shared_look": {
            "universal": [a["universal"]] if a["universal"] == b["universal"] else [a["universal"], b["universal"]],
            "visual_similarity": similarity,
            "above_random_pairs": round(chance, 4),
            "kind_similarity": round(kind, 4),
            "features": shared,
        },
        "differing_features": {
            "a": [feature for feature in features_a if feature not in shared],
            "b": [feature for feature in features_b if feature not in shared],
        },
    }
