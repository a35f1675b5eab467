"""Keys of names: equal across case, marks, punctuation and script; different for different names."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cultureclip.concepts.keys import fold, name_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Pad Thai", "padthai"),
        ("Phở", "pho"),
        ("İstanbul", "istanbul"),
        ("Sì  (dessert)", "si"),
        ("Ng'ombe", "ng’ombe"),
        ("サクラ", "sakura"),
        ("Чебурек", "cheburek"),
        ("e\u0301clair", "éclair"),
        ("ＫＩＭＯＮＯ", "kimono"),
        ("Straße", "strasse"),
    ],
)
def test_spellings_of_one_name_have_one_key(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


@pytest.mark.parametrize(
    ("one", "other"), [("hanbok", "hanfu"), ("寿司", "刺身"), ("Type 1", "Type 2"), ("தோசை", "இட்லி")]
)
def test_other_names_have_other_keys(one: str, other: str) -> None:
    assert name_key(one) != name_key(other)


@given(st.text(max_size=30))
def test_keys_are_stable_and_do_not_depend_on_the_unicode_form(text: str) -> None:
    key = name_key(text)
    assert name_key(unicodedata.normalize("NFD", text)) == name_key(unicodedata.normalize("NFC", text))
    assert fold(fold(text)) == fold(text)
    assert key == key.casefold()
    assert key or not any(char.isalnum() and char.isascii() for char in text.rsplit("(", 1)[0])
