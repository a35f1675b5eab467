"""DOSA: artifacts of Indian states that members of their communities named in games, with clues.

Owner: github microsoft/DOSA @ afce8a1, ``data/<state>/original_artifacts.csv`` and ``expanded_artifacts.csv`` (columns
``artifact`` and ``clues`` in either order, some files with a byte order mark). Licence of the data:
CDLA-Permissive-2.0. The clue texts, notes and one workbook beside them are not read.

The owner gives no category. An artifact's is that of the last word of ``categories`` in its name, else of the first in
its clues.
"""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from cultureclip.concepts.sources.files import find_files, read_table
from cultureclip.concepts.sources.found import Found
from cultureclip.concepts.sources.kinds import KINDS, KindFinder
from cultureclip.concepts.sources.source import Category, OwnersSource, Terms
from cultureclip.concepts.sources.tally import Tally

_COUNTRY = "India"


class DosaSource(OwnersSource):
    """The tables of one state, or of all. ``categories`` are words to look for in the clues."""

    kind: Literal["dosa"]
    title: str = "DOSA"
    licence: str = "CDLA-Permissive-2.0"
    terms: Terms = "train"
    categories: dict[str, Category] = Field(default_factory=lambda: dict(KINDS))

    def read(self, tally: Tally) -> Iterator[Found]:
        """Yield the artifacts of every state."""
        kinds = KindFinder(self.categories)
        for path in find_files(self.path, ("original_artifacts.csv", "expanded_artifacts.csv")):
            folder = path.parent.name
            for place, cells in read_table(path, tally, ("artifact", "clues")):
                clues = " ".join(cells["clues"].split())
                name = cells["artifact"]
                kind = kinds.last(name) or kinds.first(clues)
                yield Found(
                    place=f"{folder}/{place}",
                    name=name,
                    countries=(_COUNTRY,),
                    category=kind,
                    ref=f"https://github.com/microsoft/DOSA/blob/main/data/{folder}/{path.name}",
                    context=f"Known in {folder.replace('_', ' ').title()}, India. {clues}" if clues else "",
                )
