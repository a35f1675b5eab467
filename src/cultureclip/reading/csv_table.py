"""Read a CSV so that every later message can name the line of the file.

``pandas.read_csv`` counts neither blank lines nor line breaks in quotes, and shifts all cells of a row that has one
comma too many, or takes the first column for an index.
"""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from cultureclip.errors import ConfigurationError, SourceDataError
from cultureclip.reading.text import BYTE_ORDER_MARK, MAX_DATA_BYTES, RefusedError, normalise, read_bytes

LINE = "line"
_ESCAPED = re.compile("[\udc80-\udcff]")  # result of errors="surrogateescape" for bytes
_QUOTES = 'Put a cell with commas, quotes or line breaks in it into double quotes, and write each quote in it twice: ""'


def read_csv_file(path: Path) -> pd.DataFrame:
    """Read a file as :func:`read_csv_table` reads its content.

    Raises:
        SourceDataError: see :func:`read_csv_table`; also if there is no such file, or it is larger than the limit.
    """
    try:
        content = read_bytes(path, MAX_DATA_BYTES)
    except (OSError, RefusedError) as error:
        raise SourceDataError(path, f"cannot be read ({error})", "Give a CSV in UTF-8") from error
    return read_csv_table(content.decode("utf-8", "surrogateescape"), what=str(path))


def read_csv_table(text: str, shown: int = 20, what: str = "table of concepts") -> pd.DataFrame:
    """Read a CSV of text cells.

    Args:
        text: The file's content; bytes that are not UTF-8 as lone surrogates (``errors="surrogateescape"``).
        shown: Largest number of problems in the error.
        what: Name of the table in errors.

    Returns:
        The cells as they are written, empty ones as "", in Unicode's composed form. The index, called :data:`LINE`, is
        the line of the file that each row begins on (the first is 1). Rows without any content are left out.

    Raises:
        SourceDataError: if there is no header, a column has no name or another's, rows have other numbers of cells than
            the header, quotes are wrong, or bytes are NUL or not UTF-8; the error gives the lines.
        ConfigurationError: if the catalog reads the file as anything but text.
    """
    if not isinstance(text, str):
        cause = f"the catalog gives its content as {type(text).__name__}"
        raise ConfigurationError("atlas", cause, "Give it type: text.TextDataset; see docs/your-own-concepts.md")
    rows = dict(_read_rows(text.removeprefix(BYTE_ORDER_MARK), what))
    if not rows:
        raise SourceDataError(what, "it is empty", "Begin with a line of column names")
    header_line = min(rows)
    header = [normalise(name.strip()) for name in rows.pop(header_line)]
    _check_header(header, header_line, what)
    problems = [
        f"line {line}: {len(cells)} cells, the header has {len(header)}"
        for line, cells in rows.items()
        if len(cells) != len(header)
    ]
    problems += [f"line {line}: {cause}" for line, cells in rows.items() if (cause := _find_strange(cells))]
    if problems:
        listing = [*problems[:shown], *([f"and {len(problems) - shown} more"] if len(problems) > shown else [])]
        cause = f"{len(problems)} problem(s)\n  " + "\n  ".join(listing) + "\n"
        remedy = f"A comma too many or too few? {_QUOTES}; save the file as UTF-8, without NUL characters"
        raise SourceDataError(what, cause, remedy)
    return pd.DataFrame(
        normalise(list(rows.values())), columns=header, index=pd.Index(list(rows), name=LINE), dtype=str
    )


def _read_rows(text: str, what: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line that it begins on, cells) of every row with content."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise SourceDataError(what, f"line {line}: {error}", _QUOTES) from error
        if cells is None:
            return
        if any(map(str.strip, cells)):
            yield line, cells


def _check_header(header: list[str], line: int, what: str) -> None:
    for place, name in enumerate(header, 1):
        if not name:
            cause = f"line {line}: column {place} of {len(header)} has no name"
            raise SourceDataError(what, cause, "Name it, or remove the comma at the end of the header")
        if name in header[: place - 1]:
            raise SourceDataError(what, f"line {line}: two columns are called {name!r}", "Rename or remove one")
    if cause := _find_strange(header):
        raise SourceDataError(what, f"line {line}: {cause}", "Save the file as UTF-8, with commas between cells")


def _find_strange(cells: list[str]) -> str:
    """Return the characters in a row's cells that a text file in UTF-8 cannot hold; empty if there are none."""
    if any(map(_ESCAPED.search, cells)):
        return "not UTF-8"
    return "a NUL character" if any("\0" in cell for cell in cells) else ""
