"""The rows that leave, and those that stay: by licence, by terms, and by the wish of the people whose culture it is."""

from collections.abc import Collection

import pandas as pd

from cultureclip.concepts.exclusions import Exclusions
from cultureclip.errors import MissingInputError
from cultureclip.judging.selection import RESTRICTED
from cultureclip.tables import EVAL_ONLY, NO_REDISTRIBUTE, SIDES

NOT_REDISTRIBUTED, FOR_EVALUATION, EXCLUDED, NO_IMAGE = "no_redistribute", "eval_only", "excluded", "no_image"
"""Reasons why a row stays."""


def divide_rows(
    cultwin: pd.DataFrame, concepts: pd.DataFrame, present: Collection[str], exclude: Exclusions
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Divide training rows into those that leave and those that stay.

    Args:
        cultwin: Table CULTWIN.
        concepts: Table CONCEPTS.
        present: Ids of the images that are there.
        exclude: Concepts, cultures and images that people took out.

    Returns:
        Rows that leave, in the order of ``cultwin``, with ``pos_cultures``, ``neg_cultures`` (region codes, separated
        by spaces), ``pos_source``, ``neg_source`` and ``category``; and the number of rows that stay, by reason. A row
        that has several reasons is counted once, under the first of: terms, licence, exclusion, missing image.

    Raises:
        ConfigurationError: if a concept or culture to exclude is not known, so that a misspelt wish is not passed over.
        MissingInputError: if the tables are of different runs.
    """
    facts = concepts.set_index("concept_id")
    excluded = exclude.find(concepts)
    rows = cultwin.copy()
    for side in SIDES:
        unknown = ~rows[f"{side}_concept_id"].isin(facts.index)
        if unknown.any():
            cause = f"of different runs: {int(unknown.sum())} rows have a concept that is not in concepts"
            raise MissingInputError("cultwin and concepts", cause, "Run the pipeline again from mining")
        rows[f"{side}_cultures"] = rows[f"{side}_concept_id"].map(facts["cultures"]).map(" ".join)
        rows[f"{side}_source"] = rows[f"{side}_concept_id"].map(facts["source"])
    rows["category"] = rows["pos_concept_id"].map(facts["category"])
    reason = _reasons(rows, facts, set(present), excluded)
    counts = reason.value_counts()
    return rows[reason.isna()].reset_index(drop=True), {str(name): int(n) for name, n in counts.sort_index().items()}


def _reasons(rows: pd.DataFrame, facts: pd.DataFrame, present: set[str], excluded: frozenset[str]) -> pd.Series:
    reason = pd.Series(None, index=rows.index, dtype=object)
    for side in SIDES:
        concept, image = rows[f"{side}_concept_id"], rows[f"{side}_image_id"]
        reason = reason.mask(~image.isin(present), NO_IMAGE)
        reason = reason.mask(concept.isin(excluded) | image.isin(excluded), EXCLUDED)
    for side in SIDES:
        terms = rows[f"{side}_concept_id"].map(facts["terms"])
        reason = reason.mask(terms.eq(NO_REDISTRIBUTE), NOT_REDISTRIBUTED).mask(terms.eq(EVAL_ONLY), FOR_EVALUATION)
    return reason.mask(rows["licence"].str.endswith(RESTRICTED) & reason.ne(FOR_EVALUATION), NOT_REDISTRIBUTED)
