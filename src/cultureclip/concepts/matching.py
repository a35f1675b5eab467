"""The outcome of matching, by itself: Kedro resolves the hints of nodes, and what matches is slow to import."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Matching:
    """Twins, and what happened to everything else.

    Attributes:
        twins: A table that fits :data:`cultureclip.tables.TWINS`: accepted pairs, best first, and of the pairs refused
            for each reason the most alike.
        considered: How many pairs were considered.
        reviewed: How many of them people have accepted or rejected.
        refused: Reason -> how many of them were refused for it, also those that the table does not keep.
        steps: One row per concept with a picture: concept_id, and how far it came, as bool columns
            :data:`cultureclip.concepts.yields.STEPS`.
        coverage: Culture -> how well its concepts in twins represent all of its concepts with a picture, 0 to 1.
    """

    twins: pd.DataFrame
    considered: int
    reviewed: int
    refused: dict[str, int]
    steps: pd.DataFrame
    coverage: dict[str, float]
