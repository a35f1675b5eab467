"""Files of an audit: CSVs whose columns and cells are checked, with every problem named by its line."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cultureclip.errors import SourceDataError
from cultureclip.reading.csv_table import read_csv_file

_SHOWN = 20


def read_columns(path: Path, needed: Sequence[str], optional: Sequence[str] = ()) -> pd.DataFrame:
    """Read the columns of a CSV as stripped text; others are left out. The index is the line of the file.

    Args:
        path: The file.
        needed: Columns that it must have.
        optional: Columns that are empty where it does not have them.

    Raises:
        SourceDataError: if it is not a CSV in UTF-8, lacks a column, or has no row.
    """
    table = read_csv_file(path)
    if missing := [name for name in needed if name not in table]:
        cause = f"no column {', '.join(missing)}"
        raise SourceDataError(path, cause, f"Give the columns {', '.join(needed)}: docs/teacher-audit.md")
    if table.empty:
        raise SourceDataError(path, "it has no row below its header", "Add rows: docs/teacher-audit.md")
    cells = table.reindex(columns=[*needed, *optional], fill_value="")
    return cells.assign(**{str(name): column.str.strip() for name, column in cells.items()})


def refuse(path: Path, problems: Sequence[str], remedy: str) -> None:
    """Refuse a file that has problems.

    Raises:
        SourceDataError: if there is a problem; the error lists the first twenty.
    """
    if problems:
        listing = [*problems[:_SHOWN], *([f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else [])]
        raise SourceDataError(path, f"{len(problems)} problem(s)\n  " + "\n  ".join(listing) + "\n", remedy)


def fold(name: str) -> str:
    """Return a form in which equal names are equal, whatever their case, spaces and Unicode form."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
