"""Defect 7 of the released filter, to price it: unreadable ratings that pass, unreadable images that shift the rest.

The released code turns an answer that it cannot read into a 0, which is not a 1 and so passes the first half of its
rule: 0, 5 and 5 have a mean of 3.33. It appends images that it cannot read before the readable ones of their batch, so
within that batch the ratings belong to other images.
"""

import numpy as np
import pandas as pd

from cultureclip.judging.rating import CRITERIA
from cultureclip.judging.reasons import Reason
from cultureclip.judging.settings import RatingRule

BATCH = 4
"""Images that the released code judges together."""
UNREAD_RATING = 0.0


def refuse_as_released(ratings: pd.DataFrame, unreadable: pd.Series, rule: RatingRule) -> pd.Series:
    """Say of every row why the released code refuses it.

    Args:
        ratings: The columns :data:`CRITERIA`, in the order in which images are judged; missing where an answer cannot
            be read.
        unreadable: Whether an image cannot be read, on the same index.
        rule: The rule.

    Returns:
        A reason, or missing for an accepted image, on the index of ``ratings``.
    """
    values = ratings[list(CRITERIA)].to_numpy(dtype=float, na_value=np.nan)
    values = np.nan_to_num(values, nan=UNREAD_RATING)
    lost = unreadable.to_numpy(dtype=bool)
    moved, failed = values.copy(), lost.copy()
    for start in range(0, len(values), BATCH):
        batch = np.arange(start, min(start + BATCH, len(values)))
        order = np.concatenate([batch[lost[batch]], batch[~lost[batch]]])  # what is written, line by line
        moved[batch], failed[batch] = values[order], lost[order]
    reason = pd.Series(None, index=ratings.index, dtype=object)
    reason = reason.mask(np.asarray(moved.mean(axis=1) <= rule.mean_above), str(Reason.LOW_MEAN_RATING))
    reason = reason.mask(np.asarray((moved == rule.fails_at).any(axis=1)), str(Reason.LOWEST_RATING))
    return reason.mask(failed, str(Reason.UNREADABLE))
