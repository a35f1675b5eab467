"""Licences and terms of concepts: the strictest of several, and the gate before what they forbid."""

from collections.abc import Collection, Iterable

import pandas as pd

from cultureclip.errors import LeakError
from cultureclip.tables import EVAL_ONLY, NO_REDISTRIBUTE

STRICTNESS = ("train", NO_REDISTRIBUTE, EVAL_ONLY)
"""Terms from the loosest: what is for evaluation only is neither trained on nor passed on."""

TRAINED = ("train", NO_REDISTRIBUTE)
"""Terms of what may be trained on. What is passed on has ``train`` alone."""


def strictest(terms: Iterable[str]) -> str:
    """Return the strictest of several terms."""
    return max(terms, key=STRICTNESS.index)


def join_licences(licences: Iterable[str]) -> str:
    """Return the SPDX expression of several licences that all hold, each once."""
    distinct = list(dict.fromkeys(licences))
    if len(distinct) == 1:
        return distinct[0]
    return " AND ".join(f"({one})" if " OR " in one else one for one in distinct)


def require_terms(
    rows: pd.DataFrame, concepts: pd.DataFrame, allowed: Collection[str], table: str, shown: int = 20
) -> None:
    """Make sure that rows name no concept whose terms forbid it.

    Args:
        rows: A table whose first column names the row; concepts are named in the columns that end in ``concept_id``.
        concepts: Table of concepts.
        allowed: Terms that a concept among the rows may have.
        table: What the rows are, for the error.
        shown: Most rows in the error.

    Raises:
        LeakError: if there are such rows; the error lists each with the concept, its terms and its source.
    """
    forbidden = concepts[~concepts["terms"].isin(list(allowed))].set_index("concept_id")
    columns = [column for column in rows.columns if column.endswith("concept_id")]
    found = [
        f"{row}: {forbidden['name'][concept]} ({forbidden['terms'][concept]}, {forbidden['source'][concept]})"
        for column in columns
        for row, concept in rows.loc[rows[column].isin(forbidden.index), [rows.columns[0], column]].to_numpy()
    ]
    if found:
        listing = "\n  ".join([*found[:shown], *([f"and {len(found) - shown} more"] if len(found) > shown else [])])
        cause = f"{len(found)} row(s) name a concept whose terms are not {' or '.join(allowed)}\n  {listing}\n"
        raise LeakError(table, cause, "Leave these concepts out, or change their terms where you may")
