import math

import numpy as np
import pandas as pd

from cultureclip.judging.rating import CRITERIA, refuse_by_ratings
from cultureclip.judging.released import BATCH, refuse_as_released
from cultureclip.judging.settings import RatingRule

RULE = RatingRule()
NAN = math.nan


def table(*rows: tuple[float, float, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(CRITERIA), dtype=float)


def passed(reasons: pd.Series) -> list[bool]:
    return reasons.isna().tolist()


def test_a_rating_that_cannot_be_read_passes_as_zero():
    ratings = table((NAN, 5, 5), (NAN, 4, 5), (NAN, NAN, 5), (5, 5, 5), (1, 5, 5))
    readable = pd.Series([False] * 5)
    assert passed(refuse_as_released(ratings, readable, RULE)) == [True, False, False, True, False]
    assert passed(refuse_by_ratings(ratings, RULE)) == [False, False, False, True, False]


def test_an_unreadable_image_shifts_the_ratings_of_its_batch():
    """Written are the unreadable images first: the good ratings of the first two images go to the second and third."""
    ratings = table((5, 5, 5), (5, 5, 5), (NAN, NAN, NAN), (1, 1, 1), (5, 5, 5), (5, 5, 5))
    lost = pd.Series([False, False, True, False, False, False])
    found = refuse_as_released(ratings, lost, RULE)
    assert (
        found.fillna("accepted").tolist() == ["unreadable", "accepted", "accepted", "lowest_rating"] + ["accepted"] * 2
    )
    assert passed(refuse_by_ratings(ratings, RULE))[:3] == [True, True, False], "repaired: by id"


def test_without_a_failure_both_rules_agree():
    rng = np.random.default_rng(0)
    ratings = pd.DataFrame(rng.integers(1, 6, (4 * BATCH + 1, 3)), columns=list(CRITERIA)).astype(float)
    none = pd.Series([False] * len(ratings))
    pd.testing.assert_series_equal(refuse_as_released(ratings, none, RULE), refuse_by_ratings(ratings, RULE))
