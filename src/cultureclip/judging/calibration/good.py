"""Which images people find good: the published rule, applied to every person's ratings."""

import pandas as pd

from cultureclip.judging.rating import refuse_by_ratings
from cultureclip.judging.reasons import Reason
from cultureclip.judging.settings import RatingRule


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
