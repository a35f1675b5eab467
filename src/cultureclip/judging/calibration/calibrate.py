"""One judge against people: counts, thresholds and the share of good images, as metrics."""

from dataclasses import asdict
from typing import Any

import pandas as pd

from cultureclip.judging.calibration.good import find_good, share_of_good
from cultureclip.judging.calibration.settings import CalibrationSettings
from cultureclip.judging.calibration.threshold import find_accepting, find_band, find_refusing
from cultureclip.judging.rating import CRITERIA


def describe_people(people: pd.DataFrame, settings: CalibrationSettings) -> dict[str, Any]:
    """Count raters, images, ratings, and images on which nobody has a say because ratings are missing."""
    good = find_good(people, settings.rule)
    return {
        "raters": people["rater"].nunique(),
        "images": people["image_id"].nunique(),
        "rows": len(people),
        "images_without_a_say": people["image_id"].nunique() - len(good),
        "good": int(good.sum()),
    }


def calibrate_judge(images: pd.DataFrame, people: pd.DataFrame, settings: CalibrationSettings) -> dict[str, Any]:
    """Compare one judge with people.

    Args:
        images: The judge's images, with ``verdict``, ``concept_id`` and ratings.
        people: From :func:`~cultureclip.judging.calibration.people.read_people`.
        settings: The rule, the error rate and its confidence.

    Returns:
        ``good_share`` by the judge, by people and corrected; ``accept_from`` and ``refuse_up_to``; the ``band`` between
        them. Images that the judge failed to decide, and images without all three ratings, are left out and counted in
        ``failed`` and ``without_score``; what cannot be said is null with a ``reason``.
    """
    good = find_good(people, settings.rule)
    failed = int((images["verdict"] == "failed").sum())
    scores = images[list(CRITERIA)].astype(float).mean(axis=1, skipna=False)
    scored = images.assign(score=scores)[scores.notna()]
    counts = {"images": len(images), "failed": failed, "without_score": len(images) - len(scored)}
    return {**counts, "good_share": _good_share(images, good), **_thresholds(scored, good, settings)}


def _good_share(images: pd.DataFrame, good: pd.Series) -> dict[str, Any]:
    found = share_of_good(images, good)
    return asdict(found) if found else {"value": None, "reason": "people rated no image that the judge decided"}


def _thresholds(scored: pd.DataFrame, good: pd.Series, settings: CalibrationSettings) -> dict[str, Any]:
    rated = scored[scored["image_id"].isin(good.index)]
    truth = good.reindex(rated["image_id"]).to_numpy(bool)
    sample = (rated["score"].to_numpy(float), truth, rated["concept_id"].to_numpy(str), settings)
    accepting, refusing = find_accepting(*sample), find_refusing(*sample)
    band = find_band(scored["score"].to_numpy(float), accepting, refusing)
    return {"accept_from": asdict(accepting), "refuse_up_to": asdict(refusing), "band": asdict(band)}
