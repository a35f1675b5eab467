"""Knowledge units: precision and recall by hand, and judgements that are none."""

import pytest

from cultureclip.audit.tasks.knowledge import (
    MOST_UNITS,
    KnowledgeUnits,
    UnitScores,
    estimate_score,
    parse_judgement,
    score_units,
)


def test_precision_is_of_the_answers_units_and_recall_of_the_known_ones():
    found = score_units([True, True, False, True], [True, False, False])
    assert (found.precision, found.recall) == (3 / 4, 1 / 3)
    assert found.f1 == pytest.approx(2 * (3 / 4) * (1 / 3) / (3 / 4 + 1 / 3))


def test_an_unread_judgement_is_in_no_share():
    assert score_units([True, None, False], [None, True]) == UnitScores(0.5, 1.0)
    assert score_units([None], [None]) == UnitScores(None, None)
    assert score_units([None], [None]).f1 is None


def test_an_answer_without_units_covers_nothing():
    found = score_units([], [None, None])
    assert (found.precision, found.recall, found.f1) == (None, 0, 0)


def test_nothing_right_is_zero_and_not_a_division():
    assert score_units([False], [False]).f1 == 0


@pytest.mark.parametrize(
    ("text", "judged"),
    [
        *(("Yes", True), ("no.", False), ("**Yes**, it is", True), ("ＹＥＳ", True), ("No: it does not", False)),
        *(("It is. Yes", None), ("yesterday", None), ("not", None), ("", None), ("はい", None), ("नहीं", None)),
    ],
)
def test_a_judgement_begins_with_yes_or_no(text, judged):
    """The released scorer takes any text with "Yes" in it."""
    assert parse_judgement(text) == judged


def test_units_are_distinct_and_bounded():
    points = ["a", " a ", "", "b", *map(str, range(100))]
    units = KnowledgeUnits(knowledge_points=points).units
    assert units[:3] == ("a", "b", "0")
    assert len(units) == MOST_UNITS


def test_the_mean_is_over_answers_with_a_score():
    found = estimate_score([1.0, None, 0.0, 0.5], ["a", "b", "c", "c"])
    assert found.value == 0.5
    assert estimate_score([None], ["a"]) is None
