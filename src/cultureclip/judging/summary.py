"""Counts of the filter: accepted and rejected images, by reason."""

from typing import Any

import pandas as pd

from cultureclip.judging.verdicts import DECISION

FLAG = "flag"
"""The universal of flags. Twins of two flags are counted separately, because such twins are trivial."""


def summarise(
    judgements: pd.DataFrame, measured: pd.DataFrame, cultwin: pd.DataFrame, concepts: pd.DataFrame
) -> dict[str, Any]:
    """Count images and twins, and say how often the judge recognises what an image should show.

    Args:
        judgements: Table of judgements.
        measured: The judge's measurements of the same images.
        cultwin: Selected rows.
        concepts: All concepts.

    Returns:
        ``in`` = ``kept`` + all ``rejected`` + all ``failed`` (by reason), counted in images; twins likewise, those of
        two flags apart; ``judges``: the same counts of each judge's own opinion; ``judge_top1`` over all readable
        images, refused ones included: the share whose own concept is nearest among all concepts, null where there is
        no image.
    """
    flags = set(concepts.loc[concepts["universal"] == FLAG, "concept_id"])
    kept = cultwin.drop_duplicates("twin_id")
    kept_flags = int((kept["pos_concept_id"].isin(flags) & kept["neg_concept_id"].isin(flags)).sum())
    readable = measured[measured["rank"].notna()]
    is_flag = readable["concept_id"].isin(flags)
    by_judge = {str(name): _count(rows) for name, rows in judgements.groupby("judge", sort=True)}
    decided = by_judge.pop(DECISION, _count(judgements.iloc[:0]))
    return {
        **decided,
        "judges": by_judge,
        "rows": len(cultwin),
        "twins_in": int(measured["twin_id"].nunique()),
        "twins_kept": len(kept),
        "twins_kept_objects": len(kept) - kept_flags,
        "twins_kept_flags": kept_flags,
        "judge_top1": {"objects": _top1(readable[~is_flag]), "flags": _top1(readable[is_flag])},
    }


def _count(rows: pd.DataFrame) -> dict[str, Any]:
    """Count images of one judge, or of the decision."""
    reasons = {
        verdict: rows.loc[rows["verdict"] == verdict, "reason"].value_counts().sort_index().to_dict()
        for verdict in ("rejected", "failed")
    }
    return {"in": len(rows), "kept": int((rows["verdict"] == "accepted").sum()), **reasons}


def _top1(readable: pd.DataFrame) -> dict[str, Any]:
    value = float((readable["rank"] == 1).mean()) if len(readable) else None
    return {"value": value, "n": len(readable)}


def find_shortfalls(metrics: dict[str, Any], least: dict[str, int]) -> list[str]:
    """Return one sentence for each count of :func:`summarise` below expectations."""
    return [f"{name} is {metrics[name]}, below {floor}" for name, floor in least.items() if metrics[name] < floor]
