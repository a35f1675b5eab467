"""Counts of the filter: accepted and rejected images, by reason."""

from collections.abc import Collection
from typing import Any

import pandas as pd

from cultureclip.concepts.kinds import find_kinds
from cultureclip.concepts.settings import OTHER_KIND
from cultureclip.judging.verdicts import DECISION


def summarise(
    judgements: pd.DataFrame,
    measured: pd.DataFrame,
    cultwin: pd.DataFrame,
    concepts: pd.DataFrame,
    kinds: Collection[str],
) -> dict[str, Any]:
    """Count images and twins, and say how often the judge recognises what an image should show.

    Args:
        judgements: Table of judgements.
        measured: The judge's measurements of the same images.
        cultwin: Selected rows.
        concepts: All concepts.
        kinds: Universals that are counted by themselves, and ``other`` for the rest, to which a twin of two kinds
            belongs.

    Returns:
        ``in`` = ``kept`` + all ``rejected`` + all ``failed`` (by reason), counted in images; twins likewise, those kept
        also by kind; ``judges``: the same counts of each judge's own opinion; ``judge_top1`` by kind, over all readable
        images that have a rank, refused ones included: the share whose own concept is nearest among all concepts, null
        where there is no image.
    """
    kind_of = pd.Series(find_kinds(concepts["universal"], kinds), concepts["concept_id"])
    kept = cultwin.drop_duplicates("twin_id")
    sides = [kept[f"{side}_concept_id"].map(kind_of) for side in ("pos", "neg")]
    of_twin = sides[0].where(sides[0] == sides[1], OTHER_KIND)
    readable = measured[measured["rank"].notna()]
    of_image = readable["concept_id"].map(kind_of)
    counted = [*sorted(set(kinds) - {OTHER_KIND}), OTHER_KIND]
    by_judge = {str(name): _count(rows) for name, rows in judgements.groupby("judge", sort=True)}
    decided = by_judge.pop(DECISION, _count(judgements.iloc[:0]))
    return {
        **decided,
        "judges": by_judge,
        "rows": len(cultwin),
        "twins_in": int(measured["twin_id"].nunique()),
        "twins_kept": len(kept),
        "twins_kept_by_kind": {kind: int((of_twin == kind).sum()) for kind in counted},
        "judge_top1": {kind: _top1(readable[of_image == kind]) for kind in counted},
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


def find_shortfalls(metrics: dict[str, Any], twins: int, by_kind: dict[str, int]) -> list[str]:
    """Return one sentence for each count of :func:`summarise` below expectations.

    Args:
        metrics: From :func:`summarise`.
        twins: Least number of twins.
        by_kind: Kind -> its least number of twins.
    """
    least = {"twins_kept": (metrics["twins_kept"], twins)}
    least |= {f"twins_kept of kind {kind}": (metrics["twins_kept_by_kind"][kind], n) for kind, n in by_kind.items()}
    return [f"{name} is {count}, below {floor}" for name, (count, floor) in least.items() if count < floor]
