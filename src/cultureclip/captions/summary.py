"""Counts of captions by verdict and reason."""

import pandas as pd


def summarise_captions(captions: pd.DataFrame) -> dict[str, object]:
    """Count candidates, verdicts, reasons and the sides of twins that are left without a caption.

    A candidate that serves several twins is counted once, except in ``sides``; ``in`` = ``kept`` + all ``rejected`` by
    reason, of which ``failed`` never became a caption.
    """
    candidates = captions.drop_duplicates(["concept_id", "seed"])
    verdicts = candidates["verdict"].value_counts()
    kept = int(verdicts.get("accepted", 0))
    refused = candidates.loc[candidates["verdict"] != "accepted", "reason"].value_counts()
    served = captions.groupby(["twin_id", "concept_id"])["verdict"].agg(lambda v: bool((v == "accepted").any()))
    bare = candidates.groupby("concept_id")["verdict"].agg(lambda v: not (v == "accepted").any())
    return {
        "in": len(candidates),
        "kept": kept,
        "rejected": {str(reason): int(count) for reason, count in refused.items()},
        "failed": int(verdicts.get("failed", 0)),
        "acceptance_rate": kept / len(candidates) if len(candidates) else None,
        "concepts": int(candidates["concept_id"].nunique()),
        "concepts_without_caption": sorted(bare[bare].index),
        "sides": len(served),
        "sides_without_caption": int((~served.astype(bool)).sum()),
    }
