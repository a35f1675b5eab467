"""WorldCuisines: dishes with their countries, kinds, other names and pictures.

Owner: github worldcuisines/worldcuisines @ d4d1c44, ``resources/final_data.csv`` (30 columns; lists are written as
Python or JSON lists, aliases as a list of objects, name -> language, with "no_alias" for none). Licence of the
repository: Apache-2.0. ``Countries`` holds "Global" for what belongs nowhere: such rows are generic.
"""

import ast
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from cultureclip.concepts.sources.files import find_files, read_table
from cultureclip.concepts.sources.found import Found
from cultureclip.concepts.sources.source import Category, OwnersSource, Terms
from cultureclip.concepts.sources.tally import GENERIC, MALFORMED, Tally

_COLUMNS = ("Name", "Alias", "Coarse-grained categories", "Countries", "Text Description")
_PICTURE, _PICTURE_LICENCE = "Image1 name / URL", "Image1 License"
_GLOBAL, _DISH = "Global", "dish"
_NO_NAMES = {"no_alias", "name", "not_stated", "translation"}


class WorldCuisinesSource(OwnersSource):
    """The owner's table of dishes. Every row is a dish, so ``categories`` has one key."""

    kind: Literal["worldcuisines"]
    title: str = "WorldCuisines"
    licence: str = "Apache-2.0"
    terms: Terms = "train"
    categories: dict[str, Category] = Field(default_factory=lambda: {_DISH: "Cuisine"})

    def read(self, tally: Tally) -> Iterator[Found]:
        """Yield the dishes."""
        for path in find_files(self.path, ("final_data.csv",)):
            for place, cells in read_table(path, tally, _COLUMNS):
                countries, kinds = _read_list(cells["Countries"]), _read_list(cells["Coarse-grained categories"])
                if countries is None or kinds is None:
                    tally.drop(MALFORMED, place)
                elif _GLOBAL in countries:
                    tally.drop(GENERIC, place)
                else:
                    yield Found(
                        place=place,
                        name=cells["Name"],
                        countries=tuple(map(str, countries)),
                        category=_DISH,
                        ref="https://github.com/worldcuisines/worldcuisines",
                        universal=str(kinds[0]) if kinds else "",
                        context=cells["Text Description"],
                        aliases=tuple(_read_aliases(cells["Alias"])),
                        picture_url=cells.get(_PICTURE, ""),
                        picture_licence=cells.get(_PICTURE_LICENCE, ""),
                    )


def _read_list(cell: str) -> list[Any] | None:
    """Return the list that a cell holds; an empty cell holds none. None if it holds something else."""
    try:
        found = ast.literal_eval(_as_python(cell)) if cell.strip() else []
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return found if isinstance(found, list) else None


def _read_aliases(cell: str) -> Iterator[str]:
    for entry in _read_list(cell) or ():
        if isinstance(entry, dict):
            yield from (str(name) for name in entry if name not in _NO_NAMES)


def _as_python(cell: str) -> str:
    return cell.replace(": true}", ": True}").replace(": null}", ": None}")
