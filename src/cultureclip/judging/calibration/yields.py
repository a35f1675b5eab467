"""What judges keep and refuse, by culture, category and reason."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from cultureclip.judging.calibration.good import share_of_good
from cultureclip.judging.calibration.images import list_groups
from cultureclip.statistics import ClusteredItems
from cultureclip.tables import VERDICTS, make_table

YIELDS = pa.DataFrameSchema(
    {
        "judge": pa.Column(str),  # "decision": what became of the image in the end
        "axis": pa.Column(str, pa.Check.isin(("all", "category", "culture"))),
        "group": pa.Column(str),
        "verdict": pa.Column(str, pa.Check.isin(VERDICTS)),
        "reason": pa.Column(str, nullable=True),  # null: the verdict whatever its reason
        "images": pa.Column(int, pa.Check.ge(0)),  # with this verdict and reason
        "of": pa.Column(int, pa.Check.ge(1)),  # images of the group
        "concepts": pa.Column(int, pa.Check.ge(1)),  # of the group
        "share": pa.Column(float, pa.Check.in_range(0, 1)),
        "low": pa.Column(float, pa.Check.in_range(0, 1)),
        "high": pa.Column(float, pa.Check.in_range(0, 1)),
        # Of accepted whatever the reason: share of good images, corrected by people's ratings; null: not corrected.
        "good": pa.Column(float, pa.Check.in_range(0, 1), nullable=True),
        "good_low": pa.Column(float, pa.Check.in_range(0, 1), nullable=True),
        "good_high": pa.Column(float, pa.Check.in_range(0, 1), nullable=True),
        "rated": pa.Column(int, pa.Check.ge(0)),  # images that people rated and that the judge decided
    },
    strict=True,
    unique=["judge", "axis", "group", "verdict", "reason"],
)

_NOT_CORRECTED = {"good": np.nan, "good_low": np.nan, "good_high": np.nan, "rated": 0}


def tabulate_yields(images: pd.DataFrame, good: pd.Series) -> pd.DataFrame:
    """Count what every judge does with the images of every group.

    Args:
        images: From :func:`~cultureclip.judging.calibration.images.describe_images`.
        good: From :func:`~cultureclip.judging.calibration.good.find_good`.

    Returns:
        Table that fits :data:`YIELDS`: in each group the three verdicts, which add up to all of its images, and every
        reason that occurs, which add up to their verdict. Intervals are Wilson's at the effective sample size of images
        that come in concepts.
    """
    rows: list[dict[str, Any]] = []
    images = images[["judge", "image_id", "category", "cultures", "concept_id", "verdict", "reason"]]
    for judge, judged in images.groupby("judge", sort=True):
        for axis, group, mask in list_groups(judged):
            keys = {"judge": judge, "axis": axis, "group": group}
            rows += [keys | row for row in _count(judged[mask], good)]
    return make_table(rows, YIELDS)


def _count(part: pd.DataFrame, good: pd.Series) -> Iterator[dict[str, Any]]:
    """Yield verdicts and reasons of one group."""
    items = ClusteredItems(part["concept_id"].to_numpy())
    verdicts, reasons = part["verdict"].to_numpy(str), part["reason"].to_numpy(object)
    for verdict in VERDICTS:
        found = verdicts == verdict
        yield _row(verdict, None, found, items) | (_correct(part, good) if verdict == "accepted" else {})
        for reason in sorted({reason for reason in reasons[found] if isinstance(reason, str)}):
            yield _row(verdict, reason, found & (reasons == reason), items)


def _row(verdict: str, reason: str | None, found: np.ndarray, items: ClusteredItems) -> dict[str, Any]:
    share = items.estimate_mean(found.astype(float))
    counts = {"images": int(found.sum()), "of": len(found), "concepts": items.count}
    ends = {"share": share.value, "low": share.low, "high": share.high}
    return {"verdict": verdict, "reason": reason, **counts, **ends, **_NOT_CORRECTED}


def _correct(part: pd.DataFrame, good: pd.Series) -> dict[str, Any]:
    found = share_of_good(part, good)
    if found is None:
        return _NOT_CORRECTED
    share = found.corrected
    return {"good": share.value, "good_low": share.low, "good_high": share.high, "rated": found.rated}
