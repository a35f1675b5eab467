"""The training table: accepted images of a twin's two sides, paired."""

import pandas as pd

from cultureclip.concepts.licences import TRAINED, require_terms
from cultureclip.ids import digest
from cultureclip.judging.verdicts import decisions
from cultureclip.tables import NO_REDISTRIBUTE

RESTRICTED = " AND LicenseRef-no-redistribute"
"""SPDX expression added to the licence of a row when one of its concepts must not be passed on."""

_FIELDS = ("concept", "concept_id", "caption", "caption_id", "image_id")


def build_cultwin(
    judgements: pd.DataFrame,
    requests: pd.DataFrame,
    captions: pd.DataFrame,
    twins: pd.DataFrame,
    concepts: pd.DataFrame,
    *,
    licence: str,
) -> pd.DataFrame:
    """Pair the accepted images of both sides of every twin: first with first, second with second.

    Only images of captions of one kind are paired: what a kind gives away, it gives away of both sides. Images of a
    side are ordered by id. A side's surplus stays unused, so no image occurs twice in a twin.
    The positive side is the twin's concept a.

    Args:
        judgements: Table of judgements.
        requests: Planned images.
        captions: Captions.
        twins: Twins with their split.
        concepts: Concepts.
        licence: Licence of the generated images; that of a row says so where a concept must not be passed on.

    Returns:
        Table of CulTwin, ordered by twin and pair.

    Raises:
        LeakError: if an accepted image shows a concept that may be used for evaluation only; all are listed.
    """
    accepted = requests.loc[requests["image_id"].isin(_accepted(judgements)), ["image_id", "caption_id"]]
    shown = accepted.merge(captions[["caption_id", "twin_id", "concept_id", "kind", "text"]], on="caption_id")
    shown = shown.merge(concepts[["concept_id", "name"]], on="concept_id")
    require_terms(shown[["image_id", "concept_id"]], concepts, TRAINED, "cultwin")
    shown = shown.rename(columns={"text": "caption", "name": "concept"}).sort_values("image_id")
    shown["pair"] = shown.groupby(["twin_id", "concept_id", "kind"]).cumcount()
    shown = shown[["twin_id", "kind", "pair", *_FIELDS]]
    rows = twins[["twin_id", "split", "a_concept_id", "b_concept_id"]]
    rows = rows.merge(
        shown.rename(columns={f: f"pos_{f}" for f in _FIELDS}),
        how="inner",
        left_on=["twin_id", "a_concept_id"],
        right_on=["twin_id", "pos_concept_id"],
    )
    rows = rows.merge(
        shown.rename(columns={f: f"neg_{f}" for f in _FIELDS}),
        how="inner",
        left_on=["twin_id", "kind", "pair", "b_concept_id"],
        right_on=["twin_id", "kind", "pair", "neg_concept_id"],
    )
    rows = rows.sort_values(["twin_id", "kind", "pair"], ignore_index=True)
    ids = zip(rows["twin_id"], rows["pos_image_id"], rows["neg_image_id"], strict=True)
    rows.insert(0, "row_id", pd.Series([digest("cultwin", *fields) for fields in ids], dtype=str))
    restricted = concepts.loc[concepts["terms"] == NO_REDISTRIBUTE, "concept_id"]
    is_restricted = rows["pos_concept_id"].isin(restricted) | rows["neg_concept_id"].isin(restricted)
    rows["licence"] = pd.Series(licence, index=rows.index, dtype=str).mask(is_restricted, licence + RESTRICTED)
    return rows.drop(columns=["kind", "pair", "a_concept_id", "b_concept_id"])


def _accepted(judgements: pd.DataFrame) -> pd.Series:
    decided = decisions(judgements)
    return decided.loc[decided["verdict"] == "accepted", "image_id"]
