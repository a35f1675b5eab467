"""Which images people find good, and the share of good ones among all that a judge decided."""

import numpy as np
import pandas as pd

from cultureclip.judging.rating import refuse_by_ratings
from cultureclip.judging.reasons import Reason
from cultureclip.judging.settings import RatingRule
from cultureclip.prediction_powered import GoodShare, estimate_good_share


def find_good(people: pd.DataFrame, rule: RatingRule) -> pd.Series:
    """Say of every image whether people find it good.

    A person finds an image good when the rule accepts the person's three ratings; a person who left one of them empty
    has no say. An image is good when more than half of those with a say find it good.

    Args:
        people: From :func:`~cultureclip.judging.calibration.people.read_people`.
        rule: The rule.

    Returns:
        bool by ``image_id``; images on which nobody has a say are absent.
    """
    reasons = refuse_by_ratings(people, rule)
    has_say = reasons != str(Reason.NOT_RATED)
    votes = reasons.isna()[has_say].groupby(people.loc[has_say, "image_id"]).mean()
    return votes.gt(0.5).rename("good")


def share_of_good(images: pd.DataFrame, good: pd.Series) -> GoodShare | None:
    """Estimate the share of good images among those that a judge decided, corrected by people's ratings.

    Args:
        images: Images of one judge, with ``image_id``, ``verdict`` and ``concept_id``; those that failed do not count.
        good: From :func:`find_good`.

    Returns:
        None where people rated none of them.
    """
    decided = images[images["verdict"] != "failed"]
    places = np.flatnonzero(decided["image_id"].isin(good.index))
    if not len(places):
        return None
    truth = good.loc[decided["image_id"].iloc[places]].to_numpy(bool)
    accepted = (decided["verdict"] == "accepted").to_numpy(bool)
    return estimate_good_share(accepted, decided["concept_id"].to_numpy(), places, truth)
