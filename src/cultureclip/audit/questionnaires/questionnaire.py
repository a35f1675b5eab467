"""A questionnaire: questions with options in the order of their scale, as the user supplies them."""

from collections import Counter
from collections.abc import Hashable
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from cultureclip.audit.measures.hofstede import ITEMS, SCALE
from cultureclip.audit.questionnaires.survey_file import fold, read_columns, refuse
from cultureclip.prompts import plain

SEPARATOR = "|"
MOST_OPTIONS = 9
"""Most options of a question: an answer is one digit."""
_LONGEST = 1000
_REMEDY = "Correct the questionnaire: docs/teacher-audit.md"

QUESTIONS = pa.DataFrameSchema(
    {
        "item": pa.Column(str, unique=True),
        "topic": pa.Column(str),
        "question": pa.Column(str),
        "options": pa.Column(object),  # list of texts, from 1 on
        "vsm": pa.Column("Int64", pa.Check.in_range(1, ITEMS), nullable=True),  # whose place in the indices it takes
    },
    strict=True,
)


def read_questionnaire(path: Path) -> pd.DataFrame:
    """Read a questionnaire.

    Args:
        path: A CSV with the columns ``item`` (its id), ``question`` and ``options`` (in the order of the scale, with a
            bar between them), and, as far as known, ``topic`` and ``vsm``: the number of the item of the VSM 2013 whose
            place in Hofstede's indices the question takes.

    Returns:
        Table QUESTIONS, in the order of the file.

    Raises:
        SourceDataError: if it is not such a file; an item, a question or a VSM number is there twice; some of the 24
            VSM items are missing; a VSM item has another scale than 1 to 5; or a question has fewer than two options,
            more than nine, equal ones, or bare numbers. The error names the lines.
    """
    cells = read_columns(path, ("item", "question", "options"), ("topic", "vsm"))
    options = {line: [plain(one) for one in text.split(SEPARATOR)] for line, text in cells["options"].items()}
    problems = [
        *_find_repeats(cells["item"].map(fold), "item"),
        *_find_repeats(cells["question"].map(fold), "question"),
        *_find_bad_texts(cells),
    ]
    for line, given in options.items():
        if not 2 <= len(given) <= MOST_OPTIONS:
            problems.append(f"line {line}: {len(given)} option(s), of 2 to {MOST_OPTIONS} that can be asked")
        elif "" in given or len(set(map(fold, given))) < len(given):
            problems.append(f"line {line}: an option is empty or there twice")
        elif any(one.isdecimal() for one in given):
            problems.append(f"line {line}: an option is a bare number, like the numbers that options are answered by")
    numbers, bad = _read_vsm(cells["vsm"])
    refuse(path, [*problems, *bad, *_find_bad_scales(numbers, options)], _REMEDY)
    table = pd.DataFrame(
        {
            "item": cells["item"],
            "topic": cells["topic"].map(plain),
            "question": cells["question"].map(plain),
            "options": pd.Series(options),
            "vsm": pd.array([numbers.get(line) for line in cells.index], dtype="Int64"),
        }
    )
    return table.reset_index(drop=True)


def _find_repeats(cells: pd.Series, what: str) -> list[str]:
    first: dict[str, Hashable] = {}
    return [
        f"line {line}: the {what} of line {first[cell]} again"
        for line, cell in cells.items()
        if cell and first.setdefault(cell, line) != line
    ]


def _find_bad_texts(cells: pd.DataFrame) -> list[str]:
    empty = [f"line {line}: no {name}" for name in ("item", "question") for line in cells.index[cells[name] == ""]]
    long = cells.index[cells["question"].str.len() > _LONGEST]
    return empty + [f"line {line}: a question of more than {_LONGEST} characters" for line in long]


def _read_vsm(cells: pd.Series) -> tuple[dict[Hashable, int], list[str]]:
    """Return the numbers by line, and what is wrong with them."""
    given = {line: cell for line, cell in cells.items() if cell}
    numbers = {
        line: int(cell) for line, cell in given.items() if cell.isascii() and cell.isdigit() and 1 <= int(cell) <= ITEMS
    }
    problems = [f"line {line}: vsm {given[line]!r} is not 1 to {ITEMS}" for line in given if line not in numbers]
    counts = Counter(numbers.values())
    problems += [f"vsm {number} is given {count} times" for number, count in sorted(counts.items()) if count > 1]
    if given and (missing := sorted(set(range(1, ITEMS + 1)) - counts.keys())):
        problems.append(f"vsm {', '.join(map(str, missing))}: missing; give all {ITEMS} or none")
    return numbers, problems


def _find_bad_scales(numbers: dict[Hashable, int], options: dict[Hashable, list[str]]) -> list[str]:
    return [
        f"line {line}: vsm {number} has {len(options[line])} options; the formulas are for a scale of 1 to {SCALE}"
        for line, number in numbers.items()
        if len(options[line]) != SCALE
    ]
