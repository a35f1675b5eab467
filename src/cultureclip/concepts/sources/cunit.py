"""CUNIT: dishes and clothes with the people, occasions and meanings that belong to them.

Owner: github ljl0222/CUNIT @ 88dd3e8, ``data/food_concepts.csv`` and ``data/clothing_concepts.csv`` (a byte order mark;
two header rows, the group above the value; a boolean column per value; HTML entities and doubled spaces in titles; a
column of the category in the table of clothes alone; several countries in one cell, separated by commas). The
repository has no licence, and the data are a benchmark: their terms are ``eval_only`` unless you say otherwise.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from cultureclip.concepts.sources.files import find_files, read_header, read_rows
from cultureclip.concepts.sources.found import Found
from cultureclip.concepts.sources.source import Category, OwnersSource, Terms
from cultureclip.concepts.sources.tally import MALFORMED, Tally
from cultureclip.errors import SourceDataError

_GROUPS = {"user": "Used by", "occasion": "Occasion", "significance": "Stands for"}
"""Groups of columns, by the end of their name in the first header row -> how the context says it."""
_MISSPELT = {"cultrual significance": "significance", "cultural significance": "significance"}
_TABLES = {"food_concepts.csv": "food", "clothing_concepts.csv": "clothing"}
_TRUE = "TRUE"


class CunitSource(OwnersSource):
    """The owner's two tables."""

    kind: Literal["cunit"]
    title: str = "CUNIT"
    licence: str = "LicenseRef-none-given"
    terms: Terms = "eval_only"
    categories: dict[str, Category] = Field(
        default_factory=lambda: {"food": "Cuisine", "clothing": "Clothing", "clothing*": "Clothing"}
    )

    def read(self, tally: Tally) -> Iterator[Found]:
        """Yield the concepts."""
        for path in find_files(self.path, _TABLES):
            rows = read_rows(path, tally)
            groups = read_header(path, rows, tally, ("title", "country"))
            values = _read_values(path, rows, tally, len(groups))
            for line, cells in rows:
                place = f"{path.name} line {line}"
                if len(cells) == len(groups):
                    yield _to_found(place, groups, values, cells, _TABLES.get(path.name, ""))
                else:
                    tally.drop(MALFORMED, place)


def _read_values(path: Path, rows: Iterator[tuple[int, list[str]]], tally: Tally, width: int) -> list[str]:
    second = next(rows, None)
    if second is None or len(second[1]) != width:
        raise SourceDataError(path, "it has no second row of headers", "Give the owner's file as it is")
    tally.rows -= 1
    return second[1]


def _to_found(place: str, groups: list[str], values: list[str], cells: list[str], table: str) -> Found:
    named = dict(zip(groups, cells, strict=True))
    held: dict[str, list[str]] = {group: [] for group in _GROUPS}
    group = ""
    for above, value, cell in zip(groups, values, cells, strict=True):
        group = above or group
        of = _MISSPELT.get(group, group)
        if value.strip() and of in held and cell.strip().upper() == _TRUE:
            held[of].append(value.strip())
    said = [f"{_GROUPS[name]}: {', '.join(found)}." for name, found in held.items() if found]
    return Found(
        place=place,
        name=named["title"],
        countries=tuple(named["country"].split(",")),
        category=named.get("category") or table,
        ref=named.get("link", ""),
        universal=table,
        context=" ".join(said),
    )
