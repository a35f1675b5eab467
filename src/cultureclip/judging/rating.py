"""Ratings of an image from 1 to 5, and the published rule that accepts or refuses by them (arXiv 2507.06210)."""

from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from cultureclip.judging.reasons import Reason
from cultureclip.judging.settings import RatingRule
from cultureclip.models.chat.request import Structured

CRITERIA = ("authenticity", "consistency", "cultural_fidelity")
"""What a vision-language judge rates; columns of the table of judgements."""
LOWEST, HIGHEST = 1, 5
MOST_OF_A_REASON = 2000


class Rated(Structured):
    """A rating and its reason; ``rating`` is null where the judge says that it cannot tell."""

    rating: Annotated[int, Field(ge=LOWEST, le=HIGHEST)] | None
    reason: Annotated[str, Field(min_length=1, max_length=MOST_OF_A_REASON)]


class Ratings(Structured):
    """Answer of a vision-language judge about one image."""

    authenticity: Rated
    consistency: Rated
    cultural_fidelity: Rated


def refuse_by_ratings(ratings: pd.DataFrame, rule: RatingRule) -> pd.Series:
    """Say of every row why the rule refuses it.

    What is not a whole number from 1 to 5 is not a rating: the image fails with a reason of its own, whatever its other
    ratings are.

    Args:
        ratings: The columns :data:`CRITERIA`, numbers or missing.
        rule: The rule.

    Returns:
        A reason, or missing for an accepted image, on the index of ``ratings``.
    """
    values = ratings[list(CRITERIA)].to_numpy(dtype=float, na_value=np.nan)
    is_rating = (values >= LOWEST) & (values <= HIGHEST) & (values == np.round(values))
    valid = np.asarray(is_rating.all(axis=1))
    has_lowest = np.asarray((values <= rule.fails_at).any(axis=1))
    low_mean = ~np.asarray(values.mean(axis=1) > rule.mean_above)
    reason = pd.Series(None, index=ratings.index, dtype=object)
    reason = reason.mask(low_mean, str(Reason.LOW_MEAN_RATING))
    reason = reason.mask(has_lowest, str(Reason.LOWEST_RATING))
    return reason.mask(~valid, str(Reason.NOT_RATED))
