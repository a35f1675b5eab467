"""Leaks that the tables already show: what may not be trained on, and concepts on both sides of the split."""

from collections.abc import Iterator

import pandas as pd

from cultureclip.concepts.licences import TRAINED, require_terms
from cultureclip.errors import LeakError
from cultureclip.readiness.finding import Finding, Survey

_SIDES = ("pos_concept_id", "neg_concept_id")
_SHOWN = 5


def find_leaks(survey: Survey) -> Iterator[Finding]:
    """Find leaks in the newest training table, if there is one.

    Pictures are compared with those that benchmarks hold out by evaluation itself, which ends with an error at a leak.
    """
    files = survey.files
    if "cultwin" not in files or "concepts" not in files:
        return
    rows = pd.read_parquet(files["cultwin"], columns=["row_id", "split", *_SIDES])
    concepts = pd.read_parquet(files["concepts"], columns=["concept_id", "name", "terms", "source"])
    try:
        require_terms(rows, concepts, TRAINED, f"cultwin ({files['cultwin']})")
    except LeakError as error:
        yield Finding.of(error)
    if both := sorted(_in_split(rows, "train") & _in_split(rows, "dev")):
        names = concepts.set_index("concept_id")["name"].reindex(both[:_SHOWN]).fillna("?").tolist()
        what = f"{len(both)} concepts are in train and in dev: {', '.join(map(str, names))}"
        yield Finding(f"cultwin ({files['cultwin']})", what, "Run mining again: it splits over connected concepts")


def _in_split(rows: pd.DataFrame, split: str) -> set[str]:
    chosen = rows[rows["split"] == split]
    return {str(concept) for side in _SIDES for concept in chosen[side]}
