"""The table of agreements: judge with people, and people with each other, per rating, category and culture."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from cultureclip.judging.calibration.agreement import (
    Agreement,
    alpha_sums,
    bootstrap,
    kappa_sums,
    ordinal_alpha,
    weighted_kappa,
)
from cultureclip.judging.calibration.images import list_groups
from cultureclip.judging.calibration.people import SCALE
from cultureclip.judging.calibration.settings import AgreementSettings
from cultureclip.judging.rating import CRITERIA
from cultureclip.tables import make_table

BETWEEN = ("judge and people", "people")
MEASURES = ("weighted kappa", "ordinal alpha")

AGREEMENT = pa.DataFrameSchema(
    {
        "judge": pa.Column(str),
        "rating": pa.Column(str, pa.Check.isin(CRITERIA)),
        "axis": pa.Column(str, pa.Check.isin(("all", "category", "culture"))),
        "group": pa.Column(str),
        "between": pa.Column(str, pa.Check.isin(BETWEEN)),
        "measure": pa.Column(str, pa.Check.isin(MEASURES)),
        "value": pa.Column(float, pa.Check.le(1), nullable=True, coerce=True),
        "low": pa.Column(float, pa.Check.le(1), nullable=True, coerce=True),
        "high": pa.Column(float, pa.Check.le(1), nullable=True, coerce=True),
        "images": pa.Column(int, pa.Check.ge(0)),  # that the figure is over
        "concepts": pa.Column(int, pa.Check.ge(0)),
        "not_judged": pa.Column(int, pa.Check.ge(0)),  # rated by people, left out because the judge gave no rating
        "reason": pa.Column(str, nullable=True),  # why a figure is null
    },
    strict=True,
    unique=["judge", "rating", "axis", "group", "between", "measure"],
)


def tabulate_agreement(images: pd.DataFrame, people: pd.DataFrame, settings: AgreementSettings) -> pd.DataFrame:
    """Compare one judge's ratings with people's.

    A pair of ratings is the judge's and one person's of the same image, or two persons'. Every image weighs the same,
    however many people rated it. So both kappas say the same thing: how well two ratings of an image agree.

    Args:
        images: One judge's images: ``judge``, ``image_id``, ``concept_id``, ``category``, ``cultures`` and ratings.
        people: From :func:`~cultureclip.judging.calibration.people.read_people`.
        settings: Smallest samples, and the bootstrap.

    Returns:
        Table that fits :data:`AGREEMENT`, for every group that has an image rated by people.
    """
    rated = people.drop(columns="rater").merge(images, on="image_id", suffixes=("_people", ""), validate="many_to_one")
    rows: list[dict[str, Any]] = []
    for axis, group, mask in list_groups(rated):
        for rating in CRITERIA:
            columns = ["judge", "image_id", "concept_id", f"{rating}_people", rating]
            part = rated.loc[mask, columns].set_axis(["judge", "image_id", "concept_id", "person", "judged"], axis=1)
            part = part[part["person"].notna()]
            keys = {"judge": images["judge"].iloc[0], "rating": rating, "axis": axis, "group": group}
            rows += [keys | row for row in _compare(part, settings)]
    return make_table(rows, AGREEMENT)


def _compare(part: pd.DataFrame, settings: AgreementSettings) -> Iterator[dict[str, Any]]:
    """Yield the three figures of one group and rating; ``part`` has a row per image and person."""
    judged = part[part["judged"].notna()]
    missing = part.loc[part["judged"].isna(), "image_id"].nunique()
    yield _row(BETWEEN[0], MEASURES[0], judged, missing, _judge_and_people(judged, settings))
    several = part[part.groupby("image_id")["person"].transform("size") > 1]
    reason = None if len(several) else "no image was rated by two people"
    kappa = Agreement(reason=reason) if reason else _people_kappa(several, settings)
    alpha = Agreement(reason=reason) if reason else _people_alpha(several, settings)
    yield _row(BETWEEN[1], MEASURES[0], several, 0, kappa)
    yield _row(BETWEEN[1], MEASURES[1], several, 0, alpha)


def _row(between: str, measure: str, part: pd.DataFrame, missing: int, found: Agreement) -> dict[str, Any]:
    counts = {"images": part["image_id"].nunique(), "concepts": part["concept_id"].nunique(), "not_judged": missing}
    return {"between": between, "measure": measure, **vars(found), **counts}


def _judge_and_people(part: pd.DataFrame, settings: AgreementSettings) -> Agreement:
    if reason := _too_small(part, settings):
        return Agreement(reason=reason)
    for column, who in (("judged", "the judge gives"), ("person", "people give")):
        if part[column].nunique() == 1:
            return Agreement(reason=f"{who} every image the same rating")
    weights = 1 / part.groupby("image_id")["person"].transform("size").to_numpy(float)
    sums = kappa_sums(part["judged"].to_numpy(float), part["person"].to_numpy(float), weights)
    return _bootstrap_kappa(sums, part["concept_id"], settings)


def _people_kappa(part: pd.DataFrame, settings: AgreementSettings) -> Agreement:
    """Return the kappa of all pairs of people who rated one image, each pair in both orders."""
    if reason := _too_small(part, settings):
        return Agreement(reason=reason)
    raters = part.assign(place=np.arange(len(part)))
    pairs = raters.merge(raters[["image_id", "person", "place"]], on="image_id", suffixes=("", "_other"))
    pairs = pairs[pairs["place"] != pairs["place_other"]]
    weights = 1 / pairs.groupby("image_id")["person"].transform("size").to_numpy(float)
    sums = kappa_sums(pairs["person"].to_numpy(float), pairs["person_other"].to_numpy(float), weights)
    return _bootstrap_kappa(sums, pairs["concept_id"], settings)


def _people_alpha(part: pd.DataFrame, settings: AgreementSettings) -> Agreement:
    if reason := _too_small(part, settings):
        return Agreement(reason=reason)
    given = (part["person"].to_numpy()[:, None] == np.array(SCALE)).astype(float)
    counts = pd.DataFrame(given).groupby(part["image_id"].to_numpy()).sum()
    concepts = part.drop_duplicates("image_id").set_index("image_id").loc[counts.index, "concept_id"]
    rng = np.random.default_rng(settings.seed)
    return bootstrap(ordinal_alpha, alpha_sums(counts.to_numpy()), concepts.to_numpy(), settings.resamples, rng)


def _bootstrap_kappa(sums: np.ndarray, concepts: pd.Series, settings: AgreementSettings) -> Agreement:
    rng = np.random.default_rng(settings.seed)
    return bootstrap(weighted_kappa, sums, concepts.to_numpy(), settings.resamples, rng)


def _too_small(part: pd.DataFrame, settings: AgreementSettings) -> str | None:
    for column, what, least in (
        ("image_id", "images", settings.min_images),
        ("concept_id", "concepts", settings.min_concepts),
    ):
        if (count := part[column].nunique()) < least:
            return f"too small: {count} {what}, {least} are needed"
    return None
