"""CulturalGround: Wikidata things of 42 countries, behind questions on pictures.

Schema unverified: the owner's files (Hugging Face neulab/CulturalGround, one ``<country>_refined.jsonl`` per country
below ``CulturalGround-Recipes/CulturalGround-Refined-OE``) were not at hand. Two public readers of them agree on ``id``
("Q27797552_...": a Wikidata id before the underscore), ``image``, ``conversations`` and ``language``. Licence by the
owner's card: Apache-2.0.

The rows have no names. They give their country to the things of another source with the same Wikidata id (list
``wikidata`` first), and rows without such a thing are counted as "no name". ``name`` and ``category`` take fields that
a file of yours has.
"""

import re
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from cultureclip.concepts.sources.files import find_files, read_json_lines
from cultureclip.concepts.sources.found import Found
from cultureclip.concepts.sources.source import Category, OwnersSource, Terms
from cultureclip.concepts.sources.tally import MALFORMED, Tally

_ID = re.compile(r"(Q[1-9]\d*)(?:_.*)?", re.DOTALL)
_SUFFIX = "_refined"


class CulturalGroundSource(OwnersSource):
    """The owner's questions by country.

    Attributes:
        name: Field of a row that holds the thing's name, if there is one.
        category: Field of a row that holds its category, if there is one.
    """

    kind: Literal["cultural_ground"]
    title: str = "CulturalGround"
    licence: str = "Apache-2.0"
    terms: Terms = "train"
    name: str | None = None
    category: str | None = None
    categories: dict[str, Category] = Field(default_factory=dict)

    def read(self, tally: Tally) -> Iterator[Found]:
        """Yield the thing behind every question; its country is the file's name."""
        for path in find_files(self.path, ("*.jsonl", "*.jsonl.gz")):
            country = path.name.partition(".")[0].removesuffix(_SUFFIX).replace("_", " ")
            for place, row in read_json_lines(path, tally):
                match = _ID.fullmatch(_text(row, "id"))
                if match is None:
                    tally.drop(MALFORMED, place)
                    continue
                yield Found(
                    place=place,
                    name=_text(row, self.name),
                    countries=(country,),
                    category=_text(row, self.category),
                    ref=f"https://www.wikidata.org/wiki/{match[1]}",
                    language=_text(row, "language"),
                    wikidata=match[1],
                )


def _text(row: dict[str, Any], field: str | None) -> str:
    value = row.get(field) if field else None
    return value if isinstance(value, str) else ""
