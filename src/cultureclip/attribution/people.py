"""People's ratings: read from a table, and compared with the grades."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import pearsonr, spearmanr

from cultureclip.attribution.pictures import EncodedImages
from cultureclip.attribution.settings import RatedSettings
from cultureclip.benchmarks.formats.registry import parse_format
from cultureclip.benchmarks.rows import Row
from cultureclip.errors import ConfigurationError, SourceDataError

LEVEL = 0.95
_SEED = 0


class _Columns:
    """Which columns of a rated table hold pictures or lists."""

    pictures = ("image",)
    lists: tuple[str, ...] = ()


@dataclass(frozen=True)
class RatedSet:
    """Images that people have rated.

    Attributes:
        images: The images.
        ratings: ``image_id``, ``label``, ``rating`` (the mean of all people), ``people`` (their number).
        left_out: Why a row is not used -> number of rows.
    """

    images: EncodedImages
    ratings: pd.DataFrame
    left_out: Mapping[str, int]


def read_rated(settings: RatedSettings) -> RatedSet:
    """Read a rated table; see :class:`~cultureclip.attribution.settings.RatedSettings`.

    Raises:
        ConfigurationError: if the format is unknown.
        SourceDataError: if there is no such table, a file of it is damaged, a column is missing, or no row has an
            image, a label and a rating.
    """
    try:
        form = parse_format(settings.format)
    except ValueError as error:
        raise ConfigurationError("attribution.images.rated.format", str(error), "See docs/benchmarks.md") from error
    path = Path(settings.path)
    if not form.find(path):
        raise SourceDataError(path, "no file of this format there", "Put the rated images there, or correct path")
    rows = list(form.read_as(path, {str(ours): theirs for ours, theirs in settings.columns.items()}, _Columns()).rows)
    whys = [_why_unused(row) for row in rows]
    used = [row for row, why in zip(rows, whys, strict=True) if why is None]
    left_out = dict(Counter(why for why in whys if why is not None))
    if not used:
        cause = f"none of {len(rows)} rows can be used ({', '.join(f'{n} with {why}' for why, n in left_out.items())})"
        raise SourceDataError(path, cause, "Name the columns image, label and rating under columns")
    images = EncodedImages((row.place, row.pictures["image"][0]) for row in used)
    table = pd.DataFrame(
        {
            "image_id": [images.ids_by_name[row.place] for row in used],
            "label": [str(row.values["label"]) for row in used],
            "rating": [float(row.values["rating"]) for row in used],
        }
    )
    grouped = table.groupby(["image_id", "label"], sort=False)["rating"]
    return RatedSet(images, grouped.agg(rating="mean", people="size").reset_index(), left_out)


def _why_unused(row: Row) -> str | None:
    label, rating = row.values.get("label"), row.values.get("rating")
    if not row.pictures.get("image"):
        return "no image"
    if not isinstance(label, str) or not label.strip():
        return "no label"
    try:
        return None if rating is not None and math.isfinite(float(rating)) else "no rating"
    except (TypeError, ValueError):
        return "a rating that is not a number"


def compare_with_people(
    attributions: pd.DataFrame, ratings: pd.DataFrame, column: str, resamples: int
) -> dict[str, Any]:
    """Correlate grades with people's ratings of the same image and label.

    Args:
        attributions: Table ATTRIBUTIONS.
        ratings: See :class:`RatedSet`.
        column: Column of the grades.
        resamples: Resamples of the bootstrap.

    Returns:
        ``pearson`` and ``spearman``, each from :func:`correlate`; ``pairs`` and ``images`` that were compared;
        ``not_asked``, ratings of images and labels that were not graded; ``grades_missing``, ratings whose grade is
        null.
    """
    joined = ratings.merge(attributions[["image_id", "label", column]], on=["image_id", "label"], how="left")
    asked = joined["label"].isin(attributions["label"]) & joined["image_id"].isin(attributions["image_id"])
    both = joined[joined[column].notna()]
    grades, rated = both[column].to_numpy(float), both["rating"].to_numpy(float)
    clusters = both["image_id"].to_numpy()
    return {
        "pearson": correlate(grades, rated, clusters, "pearson", resamples),
        "spearman": correlate(grades, rated, clusters, "spearman", resamples),
        "pairs": len(both),
        "images": int(both["image_id"].nunique()),
        "not_asked": int((~asked).sum()),
        "grades_missing": int((asked & joined[column].isna()).sum()),
    }


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
