"""Licences and terms: the strictest of several holds, and rows that break them stop the run, each by name."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cultureclip.concepts.licences import STRICTNESS, join_licences, require_terms, strictest
from cultureclip.errors import LeakError
from cultureclip.tables import TERMS

CONCEPTS = pd.DataFrame(
    {
        "concept_id": ["a", "b", "c"],
        "name": ["kimono", "sari", "hanbok"],
        "terms": ["train", "no_redistribute", "eval_only"],
        "source": ["atlas", "mine", "CUNIT"],
    }
)
TRAINING, EXPORT = ("train", "no_redistribute"), ("train",)


def pairs(*concepts: str) -> pd.DataFrame:
    rows = [(f"row {number}", *pair) for number, pair in enumerate(concepts)]
    return pd.DataFrame(rows, columns=["row_id", "pos_concept_id", "neg_concept_id"])


def test_every_term_has_its_place() -> None:
    assert sorted(STRICTNESS) == sorted(TERMS)


@given(st.lists(st.sampled_from(TERMS), min_size=1))
def test_the_strictest_is_one_of_them_and_none_is_stricter(terms: list[str]) -> None:
    assert strictest(terms) in terms
    assert all(STRICTNESS.index(one) <= STRICTNESS.index(strictest(terms)) for one in terms)
    assert strictest(terms) == strictest([strictest(terms), *reversed(terms)])


def test_training_takes_what_is_not_passed_on_and_an_export_does_not() -> None:
    require_terms(pairs("aa", "ab", "ba"), CONCEPTS, TRAINING, "cultwin")
    require_terms(pairs("aa"), CONCEPTS, EXPORT, "export")
    require_terms(pairs("ab").head(0), CONCEPTS, EXPORT, "export")
    with pytest.raises(LeakError, match=r"export: 1 row.* not train\n  row 1: sari \(no_redistribute, mine\)"):
        require_terms(pairs("aa", "ab"), CONCEPTS, EXPORT, "export")


@pytest.mark.parametrize("allowed", [TRAINING, EXPORT])
def test_what_is_for_evaluation_only_is_in_neither_on_either_side(allowed: tuple[str, ...]) -> None:
    with pytest.raises(LeakError) as caught:
        require_terms(pairs("ac", "aa", "ca"), CONCEPTS, allowed, "cultwin")
    assert "2 row(s)" in str(caught.value)
    assert "row 0: hanbok (eval_only, CUNIT)" in str(caught.value)
    assert "row 2: hanbok (eval_only, CUNIT)" in str(caught.value)
    assert "row 1" not in str(caught.value)


def test_a_long_list_is_cut() -> None:
    with pytest.raises(LeakError, match=r"(?s)30 row.*and 25 more") as caught:
        require_terms(pairs(*["ac"] * 30), CONCEPTS, TRAINING, "cultwin", shown=5)
    assert str(caught.value).count("hanbok") == 5


def test_licences_are_joined_once_each() -> None:
    assert join_licences(["MIT", "MIT"]) == "MIT"
    assert join_licences(["MIT OR ISC"]) == "MIT OR ISC"
    assert join_licences(["MIT OR ISC", "CC0-1.0"]) == "(MIT OR ISC) AND CC0-1.0"
