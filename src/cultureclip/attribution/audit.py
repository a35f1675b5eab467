"""The audit of a batch of images: how much their attributions differ, and which cultures they reach.

As in CAIRe's code: each image's grades over the labels are scaled to sum 1, and images are compared two by two by the
Jensen-Shannon distance (the square root of the divergence, natural logarithm). The published code lets a missing grade
become NaN there. Here an image with a missing grade is in no distance, and is counted.
"""

from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist

REACHED = 4
"""Least grade at which a culture counts as represented."""


def audit_grades(attributions: pd.DataFrame, column: str) -> dict[str, Any]:
    """Measure a batch.

    Args:
        attributions: Table ATTRIBUTIONS.
        column: Column of the grades.

    Returns:
        ``distance_mean``, ``_std`` (over all pairs, divided by their number), ``_min`` and ``_max``, null where fewer
        than two images have all grades; ``coverage``, the share of labels with a grade of at least 4 on any image, null
        without any grade; ``labels_reached``, ``labels``, ``images``, ``images_excluded`` (with a missing grade) and
        ``grades_missing``.
    """
    grades = attributions.pivot(index="image_id", columns="label", values=column).astype(float)
    missing = grades.isna()
    complete = grades[~missing.any(axis=1)].to_numpy()
    reached = int((grades >= REACHED).any(axis=0).sum())
    return {
        **_summarise(_distances(complete)),
        "coverage": None if missing.all(axis=None) else reached / grades.shape[1],
        "labels_reached": reached,
        "labels": grades.shape[1],
        "images": len(grades),
        "images_excluded": int(missing.any(axis=1).sum()),
        "grades_missing": int(missing.sum().sum()),
    }


def _distances(grades: np.ndarray) -> np.ndarray:
    """Return the Jensen-Shannon distance of each pair of rows, [N (N - 1) / 2]; equal rows are exactly 0 apart."""
    if len(grades) < 2:
        return np.zeros(0)
    distances: np.ndarray = pdist(grades / grades.sum(axis=1, keepdims=True), metric="jensenshannon")
    return np.asarray(np.nan_to_num(distances))  # NaN: the root of a rounding error below 0


def _summarise(distances: np.ndarray) -> dict[str, float | None]:
    if not len(distances):
        return dict.fromkeys(("distance_mean", "distance_std", "distance_min", "distance_max"))
    return {
        "distance_mean": float(distances.mean()),
        "distance_std": float(distances.std()),
        "distance_min": float(distances.min()),
        "distance_max": float(distances.max()),
    }
