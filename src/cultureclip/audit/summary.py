"""The figures of an audit: what was answered, and by whom; every estimate with its interval."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from cultureclip.audit.measures.awareness import AWARE, UNAWARE
from cultureclip.audit.measures.intervals import CrossedItems
from cultureclip.audit.questionnaires.answers import REFUSED, WHY_NOT
from cultureclip.audit.tasks.knowledge import estimate_score
from cultureclip.audit.tasks.matching import BANDS, estimate_accuracy
from cultureclip.statistics import ClusteredItems, Estimate


def as_numbers(estimate: Estimate | None) -> dict[str, float] | None:
    """Write an estimate for a JSON file; null where there is none."""
    if estimate is None:
        return None
    return {"value": float(estimate.value), "low": float(estimate.low), "high": float(estimate.high)}


def summarise_answers(answers: pd.DataFrame) -> dict[str, Any]:
    """Count what was answered and what was not, and how far the model always says the same.

    Args:
        answers: Table ANSWERS.

    Returns:
        ``asked``, ``questions``, ``wordings``; of all answers, of each mode and of each country ``answered`` and
        ``refused`` (shares with intervals) and ``why_not`` (counts by reason); and ``habits``: the option and the
        place in the list that are taken most, with their shares of the read answers.
    """
    listed = answers["option"].where(_as_given(answers), answers["options"] + 1 - answers["option"])
    groups = [("mode", mode, answers[answers["mode"] == mode]) for mode in (AWARE, UNAWARE)]
    aware = answers[answers["mode"] == AWARE]
    groups += [("country", country, aware[aware["country"] == country]) for country in aware["country"].unique()]
    return {
        "asked": len(answers),
        "questions": int(answers["item"].nunique()),
        "wordings": sorted(answers["wording"].unique()),
        **_shares(answers),
        "by": [{"kind": kind, "name": name, "asked": len(given), **_shares(given)} for kind, name, given in groups],
        "habits": {"option": _most_taken(answers["option"]), "place": _most_taken(listed)},
    }


def _as_given(answers: pd.DataFrame) -> pd.Series:
    return answers["wording"].str.endswith(", given")


def _shares(answers: pd.DataFrame) -> dict[str, Any]:
    items = CrossedItems(answers["item"].to_numpy(), answers["wording"].to_numpy())
    counts = answers["why_not"].value_counts()
    return {
        "answered": as_numbers(items.estimate_mean(answers["option"].notna().to_numpy(float))),
        "refused": as_numbers(items.estimate_mean(answers["why_not"].eq(REFUSED).to_numpy(float))),
        "why_not": {reason: int(counts.get(reason, 0)) for reason in WHY_NOT},
    }


def _most_taken(options: pd.Series) -> dict[str, float] | None:
    counts = options.value_counts()
    if counts.empty:
        return None
    return {"number": int(counts.index[0]), "share": float(counts.iloc[0] / counts.sum())}


def summarise_matches(matches: pd.DataFrame) -> dict[str, Any] | None:
    """Sum up CUNIT's task; None if it was left out.

    Args:
        matches: From :func:`~cultureclip.audit.tasks.matching_task.ask_matches`.

    Returns:
        ``triplets``, and by what was shown: ``accuracy``, ``text_tower`` (of the same triplets) and ``difference``
        between the two, ``bands`` (accuracy by gap), ``read`` (share of answers of the form) and ``first`` (share of
        those for the candidate in the first place).
    """
    if matches.empty:
        return None
    shown = {str(name): _summarise_shown(given) for name, given in matches.groupby("shown", sort=True)}
    return {"triplets": int(matches["triplet"].nunique()), "shown": shown}


def _summarise_shown(given: pd.DataFrame) -> dict[str, Any]:
    asked, read = int(given["asked"].sum()), int(given["read"].sum())
    both = given[given["credit"].notna() & given["text_tower"].notna()]
    difference = None
    if len(both):
        items = ClusteredItems(both["query"].to_numpy())
        difference = items.estimate_difference(both["credit"].to_numpy(), both["text_tower"].to_numpy())
    return {
        "accuracy": as_numbers(estimate_accuracy(given["credit"], given["query"])),
        "text_tower": as_numbers(estimate_accuracy(given["text_tower"], given["query"])),
        "difference": as_numbers(difference),
        "bands": {
            band: {"triplets": len(part), "accuracy": as_numbers(estimate_accuracy(part["credit"], part["query"]))}
            for band in BANDS
            for part in [given[given["band"] == band]]
        },
        "read": read / asked,
        "first": float(given["first"].sum() / read) if read else None,
    }


def summarise_knowledge(open_answers: pd.DataFrame) -> dict[str, Any] | None:
    """Sum up the open questions; None if they were left out.

    Args:
        open_answers: Answers from :func:`~cultureclip.audit.tasks.knowledge_task.ask_open_questions`.

    Returns:
        ``questions``, ``why_not`` (counts of answers without scores by reason), ``precision``, ``recall`` and ``f1``
        (means over answers, intervals over groups), ``unread`` (judgements that begin with neither yes nor no),
        ``critiques`` and how many of them are ``in_language``, of those whose language can be told.
    """
    if open_answers.empty:
        return None
    groups = list(open_answers["group"])
    told = open_answers["critique_in_language"].dropna()
    return {
        "questions": len(open_answers),
        "why_not": {str(name): int(count) for name, count in open_answers["why_not"].value_counts().items()},
        **{name: as_numbers(_mean_score(open_answers[name], groups)) for name in ("precision", "recall", "f1")},
        "units": int(open_answers["units"].sum()),
        "unread": int(open_answers["unread"].sum()),
        "critiques": int(open_answers["critique"].ne("").sum()),
        "in_language": int(told.sum()),
        "language_told": len(told),
    }


def _mean_score(scores: pd.Series, groups: Sequence[str]) -> Estimate | None:
    return estimate_score([None if np.isnan(score) else float(score) for score in scores], groups)
