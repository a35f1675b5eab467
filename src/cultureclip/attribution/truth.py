"""How right the attributions are, where it is known which entity an image shows and to which cultures it belongs."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from cultureclip.statistics import ClusteredItems


def measure_links(links: pd.DataFrame, shown: Mapping[str, str]) -> dict[str, Any]:
    """Measure how often an image is linked to the entity that it shows.

    Args:
        links: Table LINKS.
        shown: Image id -> id of the entity that it shows.

    Returns:
        ``top_1``, the share of images whose chosen entity is right, and ``candidates``, the share with the right entity
        among all candidates: each with its 95 % interval over entities. An image without an entity counts as wrong.
    """
    images = [image for image in links["image_id"].drop_duplicates() if image in shown]
    right = links[links["entity_id"] == links["image_id"].map(shown)]
    chosen, seen = set(right.loc[right["chosen"], "image_id"]), set(right["image_id"])
    return {
        "top_1": _share([image in chosen for image in images], [shown[image] for image in images]),
        "candidates": _share([image in seen for image in images], [shown[image] for image in images]),
    }


def measure_grades(
    attributions: pd.DataFrame, shown: Mapping[str, str], cultures: Mapping[str, Collection[str]], column: str
) -> dict[str, Any]:
    """Measure how well grades tell an entity's own cultures from the others.

    Args:
        attributions: Table ATTRIBUTIONS.
        shown: Image id -> id of the entity that it shows.
        cultures: Entity id -> labels of its cultures.
        column: Column of the grades.

    Returns:
        ``auc``: the chance that a right label is graded above a wrong one of the same image, ties counting half, as the
        mean over images, with its 95 % interval over entities (guessing: 0.5). It needs a grade of a right and of a
        wrong label; images without are left out. ``mean_right`` and ``mean_other`` are means over all grades.
    """
    rows = attributions[attributions["image_id"].isin(shown.keys())].dropna(subset=[column])
    is_right = np.array(
        [label in cultures[shown[image]] for image, label in zip(rows["image_id"], rows["label"], strict=True)], bool
    )
    grades = rows[column].to_numpy(float)
    areas: dict[str, float] = {}
    for image, places in rows.reset_index(drop=True).groupby("image_id", sort=False).indices.items():
        right, other = grades[places][is_right[places]], grades[places][~is_right[places]]
        if len(right) and len(other):
            difference = right[:, None] - other[None]
            areas[str(image)] = float(np.mean((difference > 0) + 0.5 * (difference == 0)))
    return {
        "auc": _share(list(areas.values()), [shown[image] for image in areas]),
        "mean_right": float(grades[is_right].mean()) if is_right.any() else None,
        "mean_other": float(grades[~is_right].mean()) if (~is_right).any() else None,
    }


def _share(values: Collection[float], clusters: Collection[str]) -> dict[str, float | int] | None:
    """Return a mean of values in [0, 1] with its interval and counts; None without values."""
    if not values:
        return None
    items = ClusteredItems(np.array(list(clusters)))
    return {**asdict(items.estimate_mean(np.array(list(values), float))), "n": len(values), "entities": items.count}
