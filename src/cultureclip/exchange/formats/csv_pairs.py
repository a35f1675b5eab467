"""A plain CSV of one's own: a row per twin, its columns named by the catalog entry."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal

from cultureclip.benchmarks.rows import Row
from cultureclip.concepts.sources.tally import Tally
from cultureclip.exchange.formats.row_format import FIELDS, ID_FIELDS, RowFormat
from cultureclip.exchange.formats.table_files import read_file


class CsvPairsFormat(RowFormat):
    """UTF-8 with a header; columns as this project names them, or as ``columns`` does.

    Attributes:
        pictures: Folder that names of pictures count from, below the table's folder.
    """

    own_columns: ClassVar[Mapping[str, str]] = {field: field for field in FIELDS if field not in ID_FIELDS}

    type: Literal["csv"]
    pictures: str = ""

    def pattern(self) -> str:
        """Return an empty pattern, because the entry's path is the file."""
        return ""

    def folder(self, path: Path) -> Path:
        """Return the folder of the pictures."""
        return path.parent / self.pictures

    def rows(self, path: Path, tally: Tally) -> Iterator[Row]:
        """Yield the rows of the file."""
        return read_file(path, tally)
