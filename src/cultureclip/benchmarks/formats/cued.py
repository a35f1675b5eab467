"""Any benchmark with a cue of another region in every picture, after ConfusedTourist and CultureMix.

The rows, questions and answers stay those of the benchmark, so its scores with and without cues can be compared.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from cultureclip.benchmarks.composed import Composed, Place
from cultureclip.benchmarks.formats.csv_table import CsvFormat
from cultureclip.benchmarks.formats.registry import AnyFormat
from cultureclip.benchmarks.pictures import Located
from cultureclip.benchmarks.rows import IMAGE, ColumnKinds, Format, Row, Source
from cultureclip.concepts.countries import find_country
from cultureclip.concepts.keys import fold
from cultureclip.errors import SourceDataError
from cultureclip.ids import digest, seed_from_id
from cultureclip.reading.pictures import ImageError


class CuedFormat(Format):
    """Another format, whose pictures are read with a cue: above them, or as their background.

    Attributes:
        of: Format of the benchmark's files.
        cues: A CSV with the columns ``cue``, a picture beside it, and ``region``; its path.
        place: ``above``, or ``background``: the picture at 60 % on the cue.
        column: Column of a row's region, by the protocol's name.
    """

    type: Literal["cued"]
    of: AnyFormat
    cues: str = Field(min_length=1)
    place: Place = "above"
    column: str = Field(default="region", min_length=1)

    def pattern(self) -> str:
        """Return the pattern of the benchmark's own format."""
        return self.of.pattern()

    def find(self, path: Path) -> list[Path]:
        """List the files of the benchmark's own format."""
        return self.of.find(path)

    def read(self, path: Path) -> Source:
        """Return the rows of the benchmark's own format: cues need the protocol's names of columns."""
        return self.of.read(path)

    def read_as(self, path: Path, columns: Mapping[str, str], kinds: ColumnKinds) -> Source:
        """Return the rows with a cue of another region in the picture of each, drawn by the row's place.

        Raises:
            SourceDataError: see :meth:`read`; also if the cues cannot be read.
        """
        source = self.of.read_as(path, columns, kinds)
        cues = list(_read_cues(Path(self.cues)))
        return replace(source, rows=(self._add(row, cues) for row in source.rows))

    def _add(self, row: Row, cues: Sequence[tuple[Located, str]]) -> Row:
        if IMAGE not in row.pictures:
            return row
        own = row.values.get(self.column)
        known = isinstance(own, str) and bool(own.strip())
        others = [cue for cue, region in cues if known and not _same(str(own), region)]
        if not others:
            why = "no cue of another region" if known else f"no {self.column}"
            return replace(row, pictures={**row.pictures, IMAGE: (_NoCue(why, row.place),)})
        cue = random.Random(seed_from_id(digest("cue", row.place))).choice(others)
        composed = tuple(Composed(cue, picture, self.place) for picture in row.pictures[IMAGE])
        return replace(row, pictures={**row.pictures, IMAGE: composed})


@dataclass(frozen=True)
class _NoCue:
    """A picture that has no cue, and the reason."""

    why: str
    place: str

    def read(self) -> bytes:
        """Refuse to be read.

        Raises:
            ImageError: always.
        """
        raise ImageError(self.why)

    def stamp(self) -> str | None:
        """Return nothing: there are no bytes."""
        return None


@dataclass(frozen=True)
class _Columns:
    pictures: tuple[str, ...] = ("cue",)
    lists: tuple[str, ...] = ()


def _read_cues(path: Path) -> Iterator[tuple[Located, str]]:
    if not path.is_file():
        raise SourceDataError(path, "there are no cues", "Give a CSV with the columns cue and region under cues")
    for row in CsvFormat(type="csv").read_as(path, {}, _Columns()).rows:
        region = str(row.values.get("region") or "")
        if not row.pictures.get("cue") or not region:
            raise SourceDataError(f"{path}, {row.place}", "a cue has no picture or no region", "Fill both cells")
        yield row.pictures["cue"][0], region


def _same(one: str, other: str) -> bool:
    """Tell whether two texts name one region, by name or by code."""
    codes = set(find_country(one).codes) & set(find_country(other).codes)
    return bool(codes) or fold(one) == fold(other)
