"""CUNIT's answers: read strictly, in both orders, and scored with missing ones apart."""

import numpy as np
import pandas as pd
import pytest

from cultureclip.audit.tasks.matching import (
    Thing,
    Triplet,
    band_of,
    credit_by_cosine,
    estimate_accuracy,
    parse_order,
    score_triplets,
)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        *(("A > B", "A"), ("A<B", "B"), ("  A  >  B. ", "A"), ("A ＞ B", "A"), ("A < B\n", "B")),
        *(("B > A", None), ("A > B because", None), ("A", None), ("", None), ("A = B", None), ("А > В", None)),
    ],
)
def test_an_answer_is_the_published_form_and_nothing_else(text, read):
    assert parse_order(text) == read


def things(count: int) -> list[Triplet]:
    named = [Thing(f"t{n}", "", "for feasts" if n == 0 else "") for n in range(count + 2)]
    return [Triplet(named[n], named[n + 1], named[n + 2], 0.1 + 0.3 * n) for n in range(count)]


def test_credit_is_the_share_of_read_answers_that_are_right():
    rows = [
        (0, "names", True, "A"),
        (0, "names", False, "A"),  # always the first place: half right
        (1, "names", True, "A"),
        (1, "names", False, None),
        (2, "names", True, None),
        (2, "names", False, None),
    ]
    answers = pd.DataFrame(rows, columns=["triplet", "shown", "closer_first", "answer"])
    found = score_triplets(things(3), (0.33, 0.66), answers).set_index("triplet")
    assert found["credit"].fillna(-1).tolist() == [0.5, 1, -1]
    assert found["read"].tolist() == [2, 1, 0]
    assert found["first"].tolist() == [2, 1, 0]
    assert found["band"].tolist() == ["small", "middle", "large"]
    estimate = estimate_accuracy(found["credit"], found["query"])
    assert estimate.value == 0.75
    assert estimate_accuracy(found["credit"][2:], found["query"][2:]) is None


def test_bands_begin_at_their_limits():
    assert [band_of(gap, (0.33, 0.66)) for gap in (0.2, 0.33, 0.65, 0.66, 1.0)] == [
        *("small", "middle", "middle", "large", "large")
    ]


def test_a_thing_is_shown_with_what_is_known_of_it():
    first = things(1)[0]
    assert first.query.show("names") == "t0"
    assert first.query.show("features") == "t0 (for feasts)"
    assert first.closer.show("features") == "t1"


def test_the_text_tower_gives_half_a_credit_for_a_tie():
    query, closer, farther = np.eye(2)[[0, 0, 0]], np.eye(2)[[0, 1, 1]], np.eye(2)[[1, 1, 0]]
    assert credit_by_cosine(query, closer, farther).tolist() == [1, 0.5, 0]
