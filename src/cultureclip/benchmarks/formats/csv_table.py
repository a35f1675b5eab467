"""A table of one's own: a CSV with the name of a picture in each row, and the columns that the protocol asks for."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Literal

from cultureclip.benchmarks.pictures import FileIn
from cultureclip.benchmarks.rows import Format, Row, Source, check_columns, rename
from cultureclip.errors import SourceDataError
from cultureclip.reading.csv_table import read_csv_file
from cultureclip.reading.text import normalise

_LISTS = {"captions", "definition_images"}
"""Columns whose cells hold several values, separated by ``|``."""
_PICTURES = ("image", "image_0", "image_1", "definition_images")


class CsvFormat(Format):
    """UTF-8, comma-separated, with a header; pictures are files below the CSV's folder, or below ``pictures``."""

    type: Literal["csv"]
    pictures: str = ""

    def pattern(self) -> str:
        """None: the entry's path is the file."""
        return ""

    def read(self, path: Path) -> Source:
        """Rows in the order of the file.

        Raises:
            SourceDataError: it is no CSV in UTF-8, or has no column of pictures; with the lines.
        """
        return self.read_as(path, {})

    def read_as(self, path: Path, columns: Mapping[str, str]) -> Source:
        """The same under the protocol's names, by which alone a cell of text is known as a picture's name or a list."""
        table, columns = read_csv_file(path), normalise(columns)
        check_columns(path, columns, table.columns)
        names = rename({name: name for name in table.columns}, columns)
        if not set(_PICTURES) & set(names):
            cause = f"no column image among {', '.join(table.columns[:10])}"
            raise SourceDataError(path, cause, "Add it: the picture's file name; or name yours under columns")
        records = table[list(names.values())].set_axis(list(names), axis=1).to_dict("records")
        folder = path.parent / self.pictures
        return Source(_make_row(line, record, folder) for line, record in zip(table.index, records, strict=True))


def _make_row(line: int, record: Mapping[Hashable, str], folder: Path) -> Row:
    cells = {str(column): _split(cell) if column in _LISTS else [cell.strip()] for column, cell in record.items()}
    pictures = {
        column: tuple(FileIn(folder, name) for name in cells[column]) for column in _PICTURES if cells.get(column)
    }
    values = {
        column: parts if column in _LISTS else parts[0] for column, parts in cells.items() if column not in _PICTURES
    }
    return Row(f"line {line}", values, pictures)


def _split(cell: str) -> list[str]:
    return [part for part in map(str.strip, cell.split("|")) if part]
