"""Licences and terms of concepts: the strictest of several."""

from collections.abc import Iterable

from cultureclip.tables import EVAL_ONLY, NO_REDISTRIBUTE

STRICTNESS = ("train", NO_REDISTRIBUTE, EVAL_ONLY)
"""Terms from the loosest: what is for evaluation only is neither trained on nor passed on."""


def strictest(terms: Iterable[str]) -> str:
    """Return the strictest of several terms."""
    return max(terms, key=STRICTNESS.index)


def join_licences(licences: Iterable[str]) -> str:
    """Return the SPDX expression of several licences that all hold, each once."""
    distinct = list(dict.fromkeys(licences))
    if len(distinct) == 1:
        return distinct[0]
    return " AND ".join(f"({one})" if " OR " in one else one for one in distinct)
