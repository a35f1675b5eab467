"""How far reviewers agree with each other and with the search's measures, and the thresholds that follow."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from cultureclip.concepts.reviews import ACCEPTED, REJECTED, settle
from cultureclip.graphs import connect
from cultureclip.judging.calibration.agreement import alpha_sums, bootstrap, ordinal_alpha
from cultureclip.judging.calibration.threshold import find_accepting
from cultureclip.review.settings import ReviewSettings
from cultureclip.statistics import LEVEL, ClusteredItems

BOUNDS = {"visual_similarity": "min_visual_similarity", "above_random_pairs": "min_chance_quantile"}
"""Measure -> the bound of ``mining.twins`` that is laid on it."""
MEASURES = (*BOUNDS, "score", "cultural_overlap")
_TINY = 1e-9


def measure_agreement(reviews: pd.DataFrame, twins: pd.DataFrame, settings: ReviewSettings) -> dict[str, Any]:
    """Return figures on what people say about pairs.

    Pairs that concepts connect are not independent: they are one cluster in all intervals.

    Args:
        reviews: A table that fits :data:`cultureclip.tables.TWIN_REVIEWS`.
        twins: Twins and refused pairs.
        settings: Error rate and confidence of thresholds, and the resamples.
    """
    settled = settle(reviews)[["twin_id", "review"]].rename(columns={"review": "settled"})
    known = twins.merge(settled, on="twin_id", validate="one_to_one")
    known["above_random_pairs"] = [_above_random(evidence) for evidence in known["evidence"]]
    good = (known["settled"] == ACCEPTED).to_numpy()
    clusters = _find_clusters(known)
    is_twin = (known["verdict"] == ACCEPTED).to_numpy()
    decided = reviews[reviews["decision"].notna()]
    return {
        "pairs": len(known),
        "decisions": len(decided),
        "without_majority": int(decided["twin_id"].nunique() - len(settled)),
        "not_in_twins": len(settled) - len(known),
        "reviewers": {
            name: {decision: int((rows == decision).sum()) for decision in (ACCEPTED, REJECTED)}
            for name, rows in decided.groupby("reviewer")["decision"]
        },
        "between_reviewers": _compare_reviewers(decided, settings),
        "accepted_of": {
            "twins": _share(good[is_twin], clusters[is_twin]),
            "refused": _share(good[~is_twin], clusters[~is_twin]),
        },
        "with_measures": {
            name: _compare_measure(known[name].to_numpy(float), good, clusters, settings) for name in MEASURES
        },
        "thresholds": {
            bound: _find_threshold(known[name].to_numpy(float), good, clusters, settings)
            for name, bound in BOUNDS.items()
        },
    }


def _above_random(evidence: str) -> float:
    found = json.loads(evidence).get("shared_look", {}).get("above_random_pairs")
    return float("nan") if found is None else float(found)


def _find_clusters(pairs: pd.DataFrame) -> np.ndarray:
    """Return of each pair the component of the graph of pairs that it is in."""
    component = connect(zip(pairs["a_concept_id"], pairs["b_concept_id"], strict=True)) if len(pairs) else {}
    return pairs["a_concept_id"].map(component).to_numpy(dtype=object)


def _share(good: np.ndarray, clusters: np.ndarray) -> dict[str, Any]:
    if not len(good):
        return {"value": None, "low": None, "high": None, "pairs": 0}
    return asdict(ClusteredItems(clusters).estimate_mean(good.astype(float))) | {"pairs": len(good)}


def _compare_reviewers(decided: pd.DataFrame, settings: ReviewSettings) -> dict[str, Any]:
    """Return Krippendorff's alpha over pairs that at least two people decided; of two answers order means nothing."""
    counts = decided.groupby("twin_id")["decision"].value_counts().unstack(fill_value=0)
    counts = counts.reindex(columns=[REJECTED, ACCEPTED], fill_value=0)
    counts = counts[counts.sum(axis=1) > 1]
    if counts.empty:
        return {"value": None, "low": None, "high": None, "reason": "no pair has two reviewers", "pairs": 0}
    ends = decided.drop_duplicates("twin_id").set_index("twin_id").loc[counts.index]
    rng = np.random.default_rng(settings.seed)
    sums = alpha_sums(counts.to_numpy(float))
    alpha = bootstrap(ordinal_alpha, sums, _find_clusters(ends), settings.resamples, rng)
    return asdict(alpha) | {"pairs": len(counts)}


def _compare_measure(
    values: np.ndarray, good: np.ndarray, clusters: np.ndarray, settings: ReviewSettings
) -> dict[str, Any]:
    """Return the probability that an accepted pair measures more than a rejected one (AUC), with its interval."""
    known = np.isfinite(values)
    values, good = values[known], good[known]
    found: dict[str, Any] = {"auc": None, "low": None, "high": None, "reason": None, "pairs": len(values)}
    if good.all() or not good.any():
        return found | {"reason": "people say the same of all pairs"}
    _, cluster = np.unique(clusters[known].astype(str), return_inverse=True)
    count = int(cluster.max()) + 1
    found["auc"] = measure_auc(values, good, np.ones(len(values)))
    if count < 2:
        return found | {"reason": "no interval: all pairs are one cluster"}
    draws = np.random.default_rng(settings.seed).multinomial(count, np.full(count, 1 / count), settings.resamples)
    drawn = np.array([measure_auc(values, good, draw[cluster]) for draw in draws])
    low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])  # a draw may lack one of the two answers
    if high - low < _TINY:
        return found | {"reason": "no interval: no resample differs"}
    return found | {"low": float(low), "high": float(high)}


def measure_auc(values: np.ndarray, good: np.ndarray, weights: np.ndarray) -> float:
    """Return the weighted probability that a good item's value exceeds a bad one's; ties count half. NaN without both.

    Args:
        values: [items].
        good: bool [items].
        weights: How often each item counts, [items].
    """
    _, rank = np.unique(values, return_inverse=True)
    ups, downs = (np.bincount(rank, weights * side, rank.max() + 1) for side in (good, ~good))
    total = ups.sum() * downs.sum()
    below = np.cumsum(downs) - downs / 2
    return float((ups * below).sum() / total) if total else float("nan")


def _find_threshold(
    values: np.ndarray, good: np.ndarray, clusters: np.ndarray, settings: ReviewSettings
) -> Mapping[str, Any]:
    known = np.isfinite(values)
    values, good, clusters = values[known], good[known], clusters[known]
    found = asdict(find_accepting(values, good, clusters, settings, np.unique(values)))
    return {"value" if name == "score" else "pairs" if name == "images" else name: part for name, part in found.items()}
