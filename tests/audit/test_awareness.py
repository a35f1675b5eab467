"""What a culture changes, the alignment score, and which answers are selected."""

import numpy as np
import pandas as pd
import pytest

from cultureclip.audit.measures.awareness import (
    alignment_by_rule,
    estimate_alignment,
    estimate_change,
    pair_answers,
    select_instances,
)

COLUMNS = ["item", "topic", "country", "stratum", "mode", "wording", "repeat", "option"]


def answers(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS).astype({"option": "Int64"})


def aware(item, wording, repeat, option, country="Peru"):
    return (item, "t", country, "", "aware", wording, repeat, option)


def unaware(item, wording, repeat, option):
    return (item, "t", "", "", "unaware", wording, repeat, option)


def test_an_answer_is_paired_by_question_wording_and_repeat():
    table = answers(
        *(aware("q1", "w", 0, 4), aware("q1", "w", 1, 2), aware("q1", "v", 0, None), aware("q1", "w", 0, 5, "Mali")),
        *(unaware("q1", "w", 0, 2), unaware("q1", "w", 1, 3), unaware("q1", "v", 0, 1), unaware("q2", "w", 0, 5)),
    )
    found = pair_answers(table).set_index(["country", "wording", "repeat"])[["aware", "unaware", "again"]]
    assert found.loc[("Peru", "w", 0)].tolist() == [4, 2, 3]
    assert found.loc[("Peru", "w", 1)].tolist() == [2, 3, 2]
    assert found.loc[("Mali", "w", 0)].tolist() == [5, 2, 3]
    assert found.loc[("Peru", "v", 0)].isna().tolist() == [True, False, True]


def test_change_is_counted_against_chance():
    rows = [
        *(aware("q1", "w", 0, 4), aware("q2", "w", 0, 3), aware("q3", "w", 0, None)),
        *(unaware("q1", "w", 0, 2), unaware("q1", "w", 1, 2), unaware("q2", "w", 0, 3), unaware("q2", "w", 1, 1)),
        *(unaware("q3", "w", 0, 3), unaware("q3", "w", 1, 1)),
    ]
    found = estimate_change(pair_answers(answers(*rows)))
    assert {name: one.value for name, one in found.items()} == {"changed": 0.5, "by_chance": 0.5, "beyond_chance": 0}


def test_without_repeats_nothing_is_known_of_chance():
    pairs = pair_answers(answers(aware("q1", "w", 0, 4), unaware("q1", "w", 0, 2)))
    found = estimate_change(pairs)
    assert found["changed"].value == 1
    assert (found["changed"].low, found["changed"].high) == (0, 1), "one question says nothing of others"
    assert found["by_chance"] is found["beyond_chance"] is None
    assert select_instances(pairs)["reason"].tolist() == ["not_repeated"]


def test_a_model_that_always_refuses_has_no_shares():
    table = answers(aware("q1", "w", 0, None), unaware("q1", "w", 0, None), unaware("q1", "w", 1, None))
    pairs = pair_answers(table)
    assert estimate_change(pairs) == dict.fromkeys(("changed", "by_chance", "beyond_chance"))
    assert select_instances(pairs)["reason"].tolist() == ["aware_unread"]


def test_a_model_that_always_answers_three_is_changed_by_nothing():
    rows = [
        one for q in range(20) for one in (aware(f"q{q}", "w", 0, 3), *(unaware(f"q{q}", "w", r, 3) for r in (0, 1)))
    ]
    pairs = pair_answers(answers(*rows))
    found = estimate_change(pairs)
    assert found["changed"].value == found["beyond_chance"].value == 0
    assert 0 < found["changed"].high < 0.25, "twenty questions do not prove that none would change"
    assert set(select_instances(pairs)["reason"]) == {"same_answer"}


def test_only_what_is_read_differs_and_is_stable_is_selected():
    pairs = pd.DataFrame(
        [(4, 2, 2), (4, 2, 4), (2, 2, 2), (None, 2, 2), (4, None, 2), (4, 2, None)],
        columns=["aware", "unaware", "again"],
    ).astype("Int64")
    found = select_instances(pairs)
    expected = [None, "not_stable", "same_answer", "aware_unread", "unaware_unread", "not_repeated"]
    assert found["reason"].tolist() == expected
    assert found["verdict"].tolist() == ["accepted"] + ["rejected"] * 5


def test_the_alignment_score_by_hand():
    """Answers (1, 3), gold (4, 3), options (5, 3): 1 - sqrt(9 + 0) / sqrt(16 + 4)."""
    found = estimate_alignment(
        *map(np.array, ([1, 3], [4, 3], [5, 3])), questions=np.array(["a", "b"]), wordings=np.array(["w", "w"])
    )
    assert found.value == pytest.approx(1 - 3 / np.sqrt(20))
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_the_rules_scores_by_hand():
    """Options (5, 4), gold (5, 2). At random: squared distances are 6 and 1.5 on average; the middle is 3 and 2."""
    found = alignment_by_rule(np.array([5, 2]), np.array([5, 4]))
    squares = (np.square(np.arange(1, 6) - 5).mean(), np.square(np.arange(1, 5) - 2).mean())
    assert squares == (6, 1.5)
    assert found["random"] == pytest.approx(1 - np.sqrt(7.5 / 25))
    assert found["middle"] == pytest.approx(1 - np.sqrt(4 / 25))


def test_a_model_that_always_answers_three_scores_as_the_middle_does():
    gold, options, questions = np.array([1, 5, 3, 2, 4, 4]), np.full(6, 5), np.arange(6)
    found = estimate_alignment(np.full(6, 3), gold, options, questions, np.zeros(6))
    assert found.value == pytest.approx(alignment_by_rule(gold, options)["middle"])
