"""Images that people have rated for cultures, read from a table in one of the formats of benchmarks."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cultureclip.attribution.pictures import EncodedImages
from cultureclip.attribution.settings import RatedSettings
from cultureclip.benchmarks.formats.registry import parse_format
from cultureclip.benchmarks.rows import Row
from cultureclip.errors import ConfigurationError, SourceDataError


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
