"""A table of one's own: a CSV with the name of a picture in each row, and the columns that the protocol asks for."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Literal

import pandas as pd

from cultureclip.benchmarks.sources.pictures import FileIn
from cultureclip.benchmarks.sources.rows import Format, Row, Source
from cultureclip.errors import SourceDataError

_FIRST_LINE = 2  # line 1 is the header
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
            SourceDataError: it is no CSV in UTF-8, or has no column of pictures.
        """
        try:
            table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            raise SourceDataError(path, f"no CSV table in UTF-8 ({error})", "Save it as CSV in UTF-8") from error
        if not set(_PICTURES) & set(table.columns):
            columns = ", ".join(map(str, table.columns[:10]))
            raise SourceDataError(path, f"no column image among {columns}", "Add it: the picture's file name")
        folder = path.parent / self.pictures
        records = table.to_dict("records")
        return Source(_make_row(line, record, folder) for line, record in enumerate(records, _FIRST_LINE))


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
