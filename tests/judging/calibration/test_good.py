"""Which images people find good."""

import numpy as np
import pandas as pd

from cultureclip.judging.calibration.good import find_good
from cultureclip.judging.rating import CRITERIA
from cultureclip.judging.settings import RatingRule

MISSING = np.nan


def vote(*ratings: tuple[float, float, float]) -> pd.Series:
    """Ratings of one image by one person each."""
    people = pd.DataFrame(ratings, columns=list(CRITERIA))
    return find_good(people.assign(image_id="i", rater=[f"r{k}" for k in range(len(people))]), RatingRule())


def test_the_published_rule_decides_for_one_person():
    assert vote((3, 3, 4))["i"]
    assert not vote((3, 3, 3))["i"]  # the mean must exceed 3
    assert not vote((5, 5, 1))["i"]  # no rating is 1


def test_more_than_half_of_the_people_decide():
    good, bad = (4, 4, 4), (1, 5, 5)
    assert vote(good, good, bad)["i"]
    assert not vote(good, bad)["i"]


def test_who_left_a_rating_empty_has_no_say():
    assert vote((4, 4, 4), (1, 1, MISSING), (MISSING, MISSING, MISSING))["i"]
    assert vote((4, MISSING, 4)).empty
