"""A user's own CSV: the name of a picture in each row, and the columns that the protocol asks for."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Literal

from cultureclip.benchmarks.pictures import FileIn
from cultureclip.benchmarks.rows import ColumnKinds, Format, Row, Source, check_columns, rename
from cultureclip.errors import SourceDataError
from cultureclip.reading.csv_table import read_csv_file
from cultureclip.reading.text import normalise

_SEPARATOR = "|"
"""Separator of the values in a cell with several."""


class CsvFormat(Format):
    """UTF-8, comma-separated, with a header; pictures are files below the CSV's folder, or below ``pictures``."""

    type: Literal["csv"]
    pictures: str = ""

    def pattern(self) -> str:
        """Return an empty pattern, because the entry's path is the file."""
        return ""

    def read(self, path: Path) -> Source:
        """Return rows in the order of the file, all cells as texts.

        Raises:
            SourceDataError: if the file is not a CSV in UTF-8; the error gives the lines.
        """
        table = read_csv_file(path)
        records = zip(table.index, table.to_dict("records"), strict=True)
        return Source(Row(f"line {line}", {str(name): cell for name, cell in row.items()}, {}) for line, row in records)

    def read_as(self, path: Path, columns: Mapping[str, str], kinds: ColumnKinds) -> Source:
        """Return the rows under the protocol's names, which tell a picture's name or a list from a plain text.

        Raises:
            SourceDataError: see :meth:`read`; also if the table has no column of the protocol's pictures.
        """
        table, columns = read_csv_file(path), normalise(columns)
        check_columns(path, columns, table.columns)
        names = rename({name: name for name in table.columns}, columns)
        if kinds.pictures and not set(kinds.pictures) & set(names):
            cause = f"no column {' or '.join(kinds.pictures)} among {', '.join(table.columns[:10])}"
            raise SourceDataError(path, cause, "Add a column with the picture's file name, or name yours under columns")
        records = table[list(names.values())].set_axis(list(names), axis=1).to_dict("records")
        folder = path.parent / self.pictures
        rows = zip(table.index, records, strict=True)
        return Source(_make_row(line, record, folder, kinds) for line, record in rows)


def _make_row(line: int, record: Mapping[Hashable, str], folder: Path, kinds: ColumnKinds) -> Row:
    cells = {str(column): _split(cell) if column in kinds.lists else [cell.strip()] for column, cell in record.items()}
    pictures = {
        column: tuple(FileIn(folder, name) for name in cells[column]) for column in kinds.pictures if cells.get(column)
    }
    values = {
        column: parts if column in kinds.lists else parts[0]
        for column, parts in cells.items()
        if column not in kinds.pictures
    }
    return Row(f"line {line}", values, pictures)


def _split(cell: str) -> list[str]:
    return [part for part in map(str.strip, cell.split(_SEPARATOR)) if part]
