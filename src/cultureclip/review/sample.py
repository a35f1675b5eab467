"""Which pairs people are asked about: twins and refused pairs at random, in an order that tells nothing."""

import pandas as pd

from cultureclip.concepts.assignment import EVALUATION_ONLY, EXCLUDED, INDISTINGUISHABLE, SAME_NAME
from cultureclip.errors import SourceDataError
from cultureclip.ids import hash_fraction
from cultureclip.review.settings import ReviewSettings

SETTLED = (EXCLUDED, EVALUATION_ONLY, INDISTINGUISHABLE, SAME_NAME)
"""Reasons that no reviewer can overrule: such pairs are not asked about."""


def draw_pairs(twins: pd.DataFrame, settings: ReviewSettings) -> pd.DataFrame:
    """Draw pairs for review. Everyone is asked about the same ones, in the same order; reviewed ones stay among them.

    Args:
        twins: Table of twins with the refused pairs that it keeps.
        settings: How many of each, and the seed.

    Raises:
        SourceDataError: if there is no pair to ask about.
    """
    place = [hash_fraction(identifier, f"review {settings.seed}") for identifier in twins["twin_id"]]
    order = twins.assign(place=place).sort_values("place", kind="stable")
    accepted = order["verdict"] == "accepted"
    refused = ~accepted & ~order["reason"].isin(SETTLED)
    drawn = pd.concat([order[accepted].head(settings.twins), order[refused].head(settings.refused)])
    reviewed = order[order["review"].notna() & (accepted | refused)]
    drawn = pd.concat([drawn, reviewed]).drop_duplicates("twin_id").sort_values("place", kind="stable")
    if drawn.empty:
        raise SourceDataError("twins", "there is no pair to review", "Raise review.twins or review.refused")
    return drawn.drop(columns="place").reset_index(drop=True)
