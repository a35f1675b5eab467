import json
import math
import random

import pandas as pd
import pytest

from cultureclip.errors import UnparsableAnswerError
from cultureclip.judging.rating import CRITERIA, Ratings, refuse_by_ratings
from cultureclip.judging.settings import RatingRule
from cultureclip.models.chat.structured import parse_answer

RULE = RatingRule()


def refuse(*ratings: object) -> str | None:
    table = pd.DataFrame([ratings], columns=list(CRITERIA)).astype(float)
    reason = refuse_by_ratings(table, RULE).iloc[0]
    return None if pd.isna(reason) else str(reason)


@pytest.mark.parametrize(
    ("ratings", "reason"),
    [
        ((5, 5, 5), None),
        ((3, 3, 4), None),
        ((2, 4, 4), None),
        ((3, 3, 3), "low_mean_rating"),  # the mean must exceed 3
        ((2, 2, 5), "low_mean_rating"),
        ((1, 5, 5), "lowest_rating"),
        ((1, 1, 1), "lowest_rating"),
        ((0, 5, 5), "not_rated"),  # what the release lets pass: mean 3.33 and no rating of 1
        ((6, 5, 5), "not_rated"),
        ((3.5, 5, 5), "not_rated"),
        ((math.nan, 5, 5), "not_rated"),
        ((math.inf, 5, 5), "not_rated"),
        ((-5, 5, 5), "not_rated"),
        ((math.nan, math.nan, math.nan), "not_rated"),
    ],
)
def test_the_published_rule_and_what_is_no_rating(ratings, reason):
    assert refuse(*ratings) == reason


def test_ten_thousand_fuzzed_ratings_pass_only_by_the_rule():
    rng = random.Random(0)
    odd = [0, -1, 6, 1e9, 2.5, 4.999, 5.0001, math.nan, math.inf, -math.inf]
    rows = [[rng.choice(odd) if rng.random() < 0.2 else rng.randint(1, 5) for _ in CRITERIA] for _ in range(10_000)]
    reasons = refuse_by_ratings(pd.DataFrame(rows, columns=list(CRITERIA)).astype(float), RULE)
    passed = 0
    for row, reason in zip(rows, reasons, strict=True):
        good = all(value in (1, 2, 3, 4, 5) for value in row) and 1 not in row and sum(row) > 9
        assert pd.isna(reason) == good, row
        passed += good
    assert 1000 < passed < 6000


def test_settings_move_the_rule():
    table = pd.DataFrame([[2, 5, 5], [4, 4, 4]], columns=list(CRITERIA)).astype(float)
    assert refuse_by_ratings(table, RatingRule(fails_at=2)).isna().tolist() == [False, True]
    assert refuse_by_ratings(table, RatingRule(mean_above=4)).isna().tolist() == [False, False]


GOOD = {name: {"rating": 4, "reason": "clear"} for name in CRITERIA}


def change(name: str, **fields: object) -> str:
    return json.dumps({**GOOD, name: {**GOOD[name], **fields}})


@pytest.mark.parametrize(
    "answer",
    [
        change("consistency", rating="four"),
        change("consistency", rating="4"),
        change("consistency", rating="4/5"),
        change("consistency", rating=0),
        change("consistency", rating=6),
        change("consistency", rating=3.5),
        change("consistency", rating=4.0),
        change("consistency", rating=True),
        change("consistency", rating=float("nan")),
        change("consistency", rating=[4]),
        change("consistency", reason=""),
        change("consistency", reason=None),
        change("consistency", score=4),
        json.dumps({name: value for name, value in GOOD.items() if name != "authenticity"}),
        json.dumps(dict.fromkeys(CRITERIA, 4)),
        json.dumps([4, 4, 4]),
        json.dumps(GOOD) + json.dumps(GOOD),
        json.dumps(GOOD)[:-1] + ', "consistency": {"rating": 5, "reason": "twice"}}',
        "4 4 4",
        "Score: 4",
        "4/5",
        "",
        "I cannot rate this picture.",
        "Here you are: " + json.dumps(GOOD),
    ],
)
def test_what_is_not_three_ratings_is_refused(answer):
    with pytest.raises(UnparsableAnswerError):
        parse_answer(answer, Ratings)


def test_a_rating_may_be_null_and_then_fails_the_image():
    value = parse_answer(change("consistency", rating=None), Ratings)
    assert value.consistency.rating is None
    assert refuse(*(math.nan if value is None else value for value in (4, None, 4))) == "not_rated"
