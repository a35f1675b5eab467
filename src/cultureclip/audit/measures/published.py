"""Published indices of countries, as the user supplies them."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd

from cultureclip.audit.measures.hofstede import INDICES
from cultureclip.audit.questionnaires.survey_file import fold, read_columns, refuse

MISSING = {"", "#null!", "na", "n/a"}
"""How tables write that an index of a country is not known; case does not matter."""


def read_published(path: Path, countries: Sequence[str]) -> pd.DataFrame:
    """Read the published indices of the countries that are asked about.

    Args:
        path: A CSV with the columns ``country``, ``pdi``, ``idv``, ``mas``, ``uai``, ``lto`` and ``ivr``; an empty cell
            or ``#NULL!`` is not known.
        countries: The countries, as they are asked about; case and spaces do not matter.

    Returns:
        A row per country, by its name in ``countries``, and a column per index; NaN where not known.

    Raises:
        SourceDataError: if it is not such a table, a cell is not a number, a country is there twice, or one of
            ``countries`` is not in it; the error names what is near it.
    """
    cells = read_columns(path, ("country", *INDICES))
    rows = {fold(country): line for line, country in reversed(list(cells["country"].items()))}
    problems = [
        f"line {line}: {country} again (line {rows[fold(country)]})"
        for line, country in cells["country"].items()
        if rows[fold(country)] != line
    ]
    numbers: pd.DataFrame = cells[list(INDICES)].apply(lambda column: column.map(_read_number))
    problems += [
        f"line {line}, {index}: {cells.loc[line, index]!r} is not a number"
        for index in INDICES
        for line in numbers.index[numbers[index].map(np.isinf)]
    ]
    known = {fold(country): country for country in cells["country"]}
    for country in countries:
        if fold(country) not in rows:
            near = [known[name] for name in get_close_matches(fold(country), known, n=2)]
            problems.append(f"no row for {country}" + (f" (there is {' and '.join(near)})" if near else ""))
    refuse(path, problems, "Correct the table, or the names in teacher_audit.countries")
    found: pd.DataFrame = numbers.loc[[rows[fold(country)] for country in countries]]
    found.index = pd.Index(list(countries))
    return found


def _read_number(cell: str) -> float:
    """Return the cell's number; NaN if it is not known, infinity if it is no number."""
    if cell.lower() in MISSING:
        return np.nan
    try:
        number = float(cell)
    except ValueError:
        return np.inf
    return number if np.isfinite(number) else np.inf
