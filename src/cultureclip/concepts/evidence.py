"""Evidence of twins: what two concepts share, in what they differ, and the best candidates that were not taken."""

import json
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cultureclip.concepts.neighbours import culture_matrix, pair_cosines

SAME_CULTURE = "same culture"

_CELLS_AT_ONCE = 1 << 24  # of a product
_ROUNDING = 2e-6  # cosines are compared to six decimals: those of a product may differ by less than this


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
    asked = np.zeros(len(concepts), bool)
    asked[in_twins] = True
    told = ["a", "b", "visual_similarity", "reason"]
    refused = [
        pairs.loc[~is_twin & asked[pairs[end]], told].rename(columns={"a": end, "b": other})
        for end, other in (("a", "b"), ("b", "a"))
    ]
    found = pd.concat([*refused, find_own_culture(in_twins, concepts, looks, groups, shown)])
    found = found.sort_values(["a", "visual_similarity", "b"], ascending=[True, False, True]).groupby("a").head(shown)
    found["concept_id"] = concepts["concept_id"].to_numpy()[found["b"]]
    found["name"] = concepts["name"].to_numpy()[found["b"]]
    candidates = found[["concept_id", "name", "visual_similarity", "reason"]].to_dict("records")
    listed: dict[int, list[dict[str, Any]]] = {}
    for row, candidate in zip(found["a"].tolist(), candidates, strict=True):
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
    at_home, ends = cultures.tocsc(), cultures.indptr
    codes, _ = pd.factorize(groups)
    of_one_home: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for row in rows.tolist():
        of_one_home[int(codes[row]), cultures.indices[ends[row] : ends[row + 1]].tobytes()].append(row)
    found: list[np.ndarray] = []
    for (code, _), together in of_one_home.items():
        own = np.unique(np.concatenate([at_home[:, [home]].indices for home in cultures[[together[0]]].indices]))
        found += _find_most_alike(np.array(together), own[codes[own] == code], looks, most)
    a, b = np.concatenate([np.zeros((0, 2), np.int64), *found]).T
    alike = pd.DataFrame({"a": a, "b": b, "visual_similarity": pair_cosines(looks, a, b), "reason": SAME_CULTURE})
    alike = alike.sort_values(["a", "visual_similarity", "b"], ascending=[True, False, True])
    best: pd.DataFrame = alike.groupby("a").head(most).reset_index(drop=True)
    return best


def _find_most_alike(rows: np.ndarray, others: np.ndarray, looks: np.ndarray, most: int) -> list[np.ndarray]:
    """Return pairs of each row and its most similar others, and of those that are equally similar but for rounding.

    Args:
        rows: Row numbers, all of them among the others.
        others: Row numbers, sorted.
        looks: L2-normalised, float32 [N, D].
        most: Others wanted of each row.

    Returns:
        Blocks of int64 [pairs, 2].
    """
    found: list[np.ndarray] = []
    wanted = min(most, len(others) - 1)
    if wanted < 1:
        return found
    columns = looks[others].T
    step = max(1, _CELLS_AT_ONCE // len(others))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        cosines = looks[part] @ columns
        cosines[np.arange(len(part)), np.searchsorted(others, part)] = -np.inf
        least = np.partition(cosines, len(others) - wanted, axis=1)[:, [len(others) - wanted]]
        place, column = np.nonzero(cosines >= least - _ROUNDING)
        found.append(np.stack([part[place], others[column]], axis=1))
    return found


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
