"""Rows in tables of any of the usual forms: parquet, JSON lines, a JSON list, CSV and TSV."""

from collections.abc import Callable, Iterator
from glob import escape
from pathlib import Path
from typing import Any

from cultureclip.benchmarks.formats.parquet import ParquetFormat
from cultureclip.benchmarks.rows import Row
from cultureclip.concepts.sources.files import read_json_lines, read_json_list, read_table
from cultureclip.concepts.sources.tally import Tally
from cultureclip.errors import SourceDataError
from cultureclip.reading.text import MAX_DATA_BYTES

Cells = Iterator[tuple[str, dict[str, Any]]]


def read_file(file: Path, tally: Tally, delimiter: str | None = None) -> Iterator[Row]:
    """Yield the rows of a table, whose form its ending tells; pictures inside a parquet file are read when asked for.

    Args:
        file: The table.
        tally: Where rows are counted, damaged ones among them.
        delimiter: Between the cells of a CSV; None: a tab in a ``.tsv``, else a comma.

    Raises:
        SourceDataError: if its ending is none that is read, or it is damaged.
    """
    ending = file.suffix.lower()
    if ending == ".parquet":
        for row in ParquetFormat(type="parquet", files=escape(file.name)).read(file.parent).rows:
            tally.rows += 1
            yield Row(f"{file.name} {row.place}", row.values, row.pictures)
    elif ending in _READERS:
        for place, cells in _READERS[ending](file, tally, delimiter):
            yield Row(place, cells, {})
    else:
        remedy = f"Give files that end in .parquet, {', '.join(_READERS)}"
        raise SourceDataError(file, f"nothing reads tables that end in {ending or 'nothing'!r}", remedy)


def _json_lines(file: Path, tally: Tally, _: str | None) -> Cells:
    return read_json_lines(file, tally)


def _json_list(file: Path, tally: Tally, _: str | None) -> Cells:
    return read_json_list(file, tally, MAX_DATA_BYTES)


def _separated(file: Path, tally: Tally, delimiter: str | None) -> Cells:
    return read_table(file, tally, (), delimiter=delimiter or ("\t" if file.suffix.lower() == ".tsv" else ","))


_READERS: dict[str, Callable[[Path, Tally, str | None], Cells]] = {
    ".jsonl": _json_lines,
    ".json": _json_list,
    ".csv": _separated,
    ".tsv": _separated,
}
"""Ending -> reader of a table of texts."""
