"""Read people's ratings of images: a CSV with one line per image and rater."""

import pandas as pd

from cultureclip.errors import SourceDataError
from cultureclip.judging.rating import CRITERIA, HIGHEST, LOWEST
from cultureclip.reading.csv_table import LINE, read_csv_table

SCALE = tuple(range(LOWEST, HIGHEST + 1))

_COLUMNS = ("image_id", "rater", *CRITERIA)
_WHAT = "table of people's ratings"
_CELLS = {"": None} | {str(value): value for value in SCALE}
_SHOWN_CHARACTERS = 40


def read_people(text: str, known: set[str], shown: int = 20) -> pd.DataFrame:
    """Read and check people's ratings.

    Args:
        text: The CSV's content, with the columns ``image_id``, ``rater`` and :data:`CRITERIA`. A rating is a whole
            number from 1 to 5; an empty cell was not rated.
        known: Ids of the images that a judge was asked about.
        shown: Largest number of problems in the error.

    Returns:
        ``image_id``, ``rater`` and the ratings as float (missing: not rated), in the order of the file.

    Raises:
        SourceDataError: if the file is no such CSV, has no rating, or rows are bad: an unknown image, no rater, a rater
            twice for one image, or a cell that is no rating. The error gives the line of each.
    """
    table = read_csv_table(text, shown, what=_WHAT)
    _check_columns(table)
    table = table.apply(lambda column: column.str.strip())
    problems = [f"{LINE} {line}: {problem}" for line, problem in _find_problems(table, known)]
    if problems:
        listing = [*problems[:shown], *([f"and {len(problems) - shown} more"] if len(problems) > shown else [])]
        cause = f"{len(problems)} problem(s)\n  " + "\n  ".join(listing) + "\n"
        raise SourceDataError(_WHAT, cause, "Correct these lines and run again; see docs/calibration.md")
    people: pd.DataFrame = table.reset_index(drop=True)
    for rating in CRITERIA:
        people[rating] = people[rating].map(_CELLS).astype(float)
    if people[list(CRITERIA)].isna().all(axis=None):
        raise SourceDataError(_WHAT, "nobody rated anything: it has no rating", "Add ratings from 1 to 5")
    return people


def _check_columns(table: pd.DataFrame) -> None:
    if missing := [name for name in _COLUMNS if name not in table.columns]:
        raise SourceDataError(_WHAT, f"no column {', '.join(missing)}", "Add it; see docs/calibration.md")
    if unknown := [_show(name) for name in table.columns if name not in _COLUMNS]:
        remedy = f"Remove or rename it; known columns are {', '.join(_COLUMNS)}"
        raise SourceDataError(_WHAT, f"unknown column {', '.join(unknown)}", remedy)


def _find_problems(table: pd.DataFrame, known: set[str]) -> list[tuple[int, str]]:
    """Return (line, problem) of everything that is wrong, in the order of the file."""
    problems: list[tuple[int, str]] = []
    first: dict[tuple[str, str], int] = {}
    for line, row in zip(table.index, table.to_dict("records"), strict=True):
        image, rater = row["image_id"], row["rater"]
        if image not in known:
            problems.append((line, f"no judge was asked about image {_show(image)}"))
        if not rater:
            problems.append((line, "no rater"))
        elif first.setdefault((image, rater), line) != line:
            problems.append((line, f"{_show(rater)} rated image {_show(image)} in line {first[image, rater]} already"))
        problems += [
            (line, f"{rating} is {_show(row[rating])}, not a whole number from {SCALE[0]} to {SCALE[-1]} or empty")
            for rating in CRITERIA
            if row[rating] not in _CELLS
        ]
    return problems


def _show(text: str) -> str:
    """Return a user's text for a message: quoted, control characters escaped, cut."""
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")
