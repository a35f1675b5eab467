"""How many concepts of each culture are left after every step of mining: who is lost, and where."""

from collections.abc import Mapping

import pandas as pd

from cultureclip.tables import CULTURE_YIELDS

STEPS = ("distinct", "allowed", "considered", "passed", "in_twins")
"""Steps of a concept with a picture, each after the one before: no other concept is drawn alike and stands for it; its
terms allow a twin; it has a look-alike of another culture; one of its pairs passes all rules; it is in a twin."""


def tabulate_yields(concepts: pd.DataFrame, steps: pd.DataFrame, coverage: Mapping[str, float]) -> pd.DataFrame:
    """Count the concepts of each culture after every step.

    A concept of several cultures counts for each of them.

    Args:
        concepts: All concepts.
        steps: One row per concept with a picture: concept_id and a bool column for each of :data:`STEPS`.
        coverage: Culture -> how well its concepts in twins represent it.

    Returns:
        A table that fits :data:`cultureclip.tables.CULTURE_YIELDS`, by culture.
    """
    pictured = steps.assign(with_picture=True)
    counted = ["with_picture", *STEPS]
    rows = concepts[["concept_id", "cultures"]].merge(pictured, "left", "concept_id", validate="one_to_one")
    rows[counted] = rows[counted].eq(True)  # a concept without a picture has no row
    of_culture = rows.explode("cultures").groupby("cultures", sort=True)
    yields = of_culture[counted].sum().assign(concepts=of_culture.size(), coverage=pd.Series(coverage, dtype=float))
    return yields.rename_axis("culture").reset_index()[list(CULTURE_YIELDS.columns)]
