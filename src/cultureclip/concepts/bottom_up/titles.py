"""A sample of titles for which it is known whether they are cultural concepts: what the bottom-up pass learns from.

A CSV with the columns ``title`` and ``truth`` (yes or no), and where it has them ``category`` (of titles that are
concepts), ``context`` (a sentence on the title), ``picture`` (a path, or what ``reference_image`` of a concept may be),
``group`` (titles of one group are variants of one thing) and ``subset`` (figures are given for each subset, too).
"""

from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from cultureclip.concepts.sources.source import Category
from cultureclip.concepts.texts import CELL_LIMIT, tidy
from cultureclip.errors import SourceDataError
from cultureclip.ids import hash_fraction
from cultureclip.reading.csv_table import read_csv_file

PARTS = ("dev", "test")
_PARTS_SALT = "bottom-up-half"

_Text = Annotated[str, StringConstraints(max_length=CELL_LIMIT), AfterValidator(tidy)]


class _TitleRow(BaseModel):
    """One row as written, each cell checked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Annotated[_Text, Field(min_length=1)]
    truth: Literal["yes", "no"]
    category: Category | Literal[""] = ""
    context: _Text = ""
    picture: _Text = ""
    group: _Text = ""
    subset: _Text = ""

    @model_validator(mode="after")
    def _category_of_concepts(self) -> "_TitleRow":
        if self.truth == "no" and self.category:
            raise ValueError("a category, but truth is no")
        return self


def read_titles(path: str, shown: int = 20) -> pd.DataFrame:
    """Read a sample of titles.

    Args:
        path: The CSV.
        shown: Largest number of problems in an error.

    Returns:
        Columns ``title``, ``context``, ``picture`` (None where there is none), ``group``, ``subset``, ``part``
        (:data:`PARTS`, drawn over groups), ``truth`` and ``true_category``.

    Raises:
        SourceDataError: if it is not such a table, or has a title twice.
    """
    table = read_csv_file(Path(path))
    rows: list[_TitleRow] = []
    problems: list[str] = []
    line_of: dict[str, object] = {}
    for line, cells in table.to_dict("index").items():
        try:
            row = _TitleRow.model_validate({str(name): cell.strip() for name, cell in cells.items()})
        except ValidationError as error:
            first = error.errors()[0]
            problems.append(f"line {line}: {'.'.join(map(str, first['loc'])) or 'row'}: {first['msg']}")
            continue
        if line_of.setdefault(row.title, line) != line:
            problems.append(f"line {line}: {row.title[:60]!r} is there on line {line_of[row.title]}")
        rows.append(row)
    if problems or not rows:
        listing = [*problems[:shown], *([f"and {len(problems) - shown} more"] if len(problems) > shown else [])]
        cause = f"{len(problems)} problem(s)\n  " + "\n  ".join(listing) + "\n" if problems else "it has no row"
        raise SourceDataError(path, cause, "Correct the table: docs/sources.md, Bottom-up")
    return pd.DataFrame(
        {
            "title": [row.title for row in rows],
            "context": [row.context for row in rows],
            "picture": [row.picture or None for row in rows],
            "group": [row.group or row.title for row in rows],
            "subset": [row.subset for row in rows],
            "part": ["dev" if hash_fraction(row.group or row.title, _PARTS_SALT) < 0.5 else "test" for row in rows],
            "truth": [row.truth == "yes" for row in rows],
            "true_category": [row.category or None for row in rows],
        }
    )
