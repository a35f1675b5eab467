"""People's ratings of images, compared with the grades."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import pearsonr, spearmanr

from cultureclip.attribution.audit import REACHED
from cultureclip.prediction_powered import estimate_good_share

LEVEL = 0.95
_SEED = 0


def compare_with_people(
    attributions: pd.DataFrame, ratings: pd.DataFrame, column: str, resamples: int
) -> dict[str, Any]:
    """Correlate grades with people's ratings of the same image and label.

    Args:
        attributions: Table ATTRIBUTIONS.
        ratings: ``image_id``, ``label``, ``rating``.
        column: Column of the grades.
        resamples: Resamples of the bootstrap.

    Returns:
        ``pearson`` and ``spearman``, each from :func:`correlate`; ``strong`` from :func:`share_strong`; ``pairs`` and
        ``images`` that were compared; ``not_asked``, ratings of images and labels that were not graded;
        ``grades_missing``, ratings whose grade is null.
    """
    joined = ratings.merge(attributions[["image_id", "label", column]], on=["image_id", "label"], how="left")
    asked = joined["label"].isin(attributions["label"]) & joined["image_id"].isin(attributions["image_id"])
    both = joined[joined[column].notna()]
    grades, rated = both[column].to_numpy(float), both["rating"].to_numpy(float)
    clusters = both["image_id"].to_numpy()
    return {
        "pearson": correlate(grades, rated, clusters, "pearson", resamples),
        "spearman": correlate(grades, rated, clusters, "spearman", resamples),
        "strong": share_strong(attributions, ratings, column),
        "pairs": len(both),
        "images": int(both["image_id"].nunique()),
        "not_asked": int((~asked).sum()),
        "grades_missing": int((asked & joined[column].isna()).sum()),
    }


def share_strong(attributions: pd.DataFrame, ratings: pd.DataFrame, column: str) -> dict[str, Any] | None:
    """Estimate how many graded pairs of image and label are strong (4 or more) by people, who rated some of them.

    Args:
        attributions: Table ATTRIBUTIONS.
        ratings: ``image_id``, ``label``, ``rating``.
        column: Column of the grades.

    Returns:
        The fields of :class:`~cultureclip.prediction_powered.GoodShare` over pairs with a grade, intervals over images;
        None where people rated none of these.
    """
    graded = attributions[attributions[column].notna()]
    joined = graded.merge(ratings[["image_id", "label", "rating"]], on=["image_id", "label"], how="left")
    places = np.flatnonzero(joined["rating"].notna())
    if not len(places):
        return None
    says, rated = joined[column].to_numpy(float) >= REACHED, joined["rating"].to_numpy(float)[places] >= REACHED
    return asdict(estimate_good_share(says, joined["image_id"].to_numpy(), places, rated))


def correlate(
    first: np.ndarray, second: np.ndarray, clusters: np.ndarray, kind: str, resamples: int
) -> dict[str, float | None]:
    """Give a correlation with a 95 % percentile interval of the bootstrap over clusters.

    Whole clusters (images) are drawn with replacement, because the ratings of one image are not independent. Resamples
    in which either side is constant have no correlation and are left out.

    Args:
        first: [N].
        second: [N].
        clusters: The cluster of each pair, [N].
        kind: ``pearson`` or ``spearman``.
        resamples: Number of resamples.

    Returns:
        ``value``, ``low``, ``high``. All are null where either side is constant; the ends are null with one cluster.
    """
    value = _correlation(first, second, kind)
    if value is None:
        return {"value": None, "low": None, "high": None}
    groups = list(pd.Series(np.arange(len(clusters))).groupby(clusters).indices.values())
    if len(groups) < 2:
        return {"value": value, "low": None, "high": None}
    rng = np.random.default_rng(_SEED)
    drawn = []
    for _ in range(resamples):
        chosen = np.concatenate([groups[place] for place in rng.integers(0, len(groups), len(groups))])
        if (found := _correlation(first[chosen], second[chosen], kind)) is not None:
            drawn.append(found)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {"value": value, "low": float(low), "high": float(high)}


def _correlation(first: np.ndarray, second: np.ndarray, kind: str) -> float | None:
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float((spearmanr if kind == "spearman" else pearsonr)(first, second).statistic)
