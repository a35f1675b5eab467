"""The gallery's files: every twin is in them, once, with its pictures, and no text can leave its string."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.report.gallery import PAGE, order_twins, write_gallery
from cultureclip.report.page import script_call
from tests.support.report_data import HOSTILE, Images, make_data

PAIRS = 2 * PAGE + 5


def arguments(text: str) -> list:
    """What a script hands over, read the strict way."""
    found = re.fullmatch(r"\w+\((.*)\);\n", text)
    return json.loads(f"[{found[1]}]")


def files(limit: int = 1000, **kwargs):
    data = make_data(**kwargs)
    return data, dict(write_gallery(data.tables, data.images, data.references, limit))


@pytest.fixture(scope="module")
def gallery():
    data, written = files(pairs=PAIRS)
    index = arguments(written["gallery/index.js"])[0]
    cards = [card for name in sorted(written) if "twins-" in name for card in arguments(written[name])[1]]
    return data, index, cards


def test_every_twin_is_there_once_with_what_became_of_it(gallery) -> None:
    data, index, cards = gallery
    assert len(cards) == len(index["a"]) == PAIRS
    twins, concepts = data.tables.twins, data.tables.concepts.set_index("concept_id")
    kept = set(data.tables.cultwin["twin_id"])
    expected = sorted(
        (
            *(concepts.loc[side, "name"] for side in (twin["a_concept_id"], twin["b_concept_id"])),
            twin["category"],
            "refused: not alike"
            if twin["reason"]
            else ("in the training data" if twin["twin_id"] in kept else "fell in a later stage"),
        )
        for twin in twins.replace({np.nan: None}).to_dict("records")
    )
    found = sorted(
        (index["names"][a], index["names"][b], index["categories"][category], index["states"][state])
        for a, b, category, state in zip(*(index[n] for n in ("a", "b", "category", "state")), strict=True)
    )
    assert found == expected
    assert len({state for *_, state in found}) == 3


def test_cards_show_what_was_made_for_their_own_twin(gallery) -> None:
    _, index, cards = gallery
    for card, state in zip(cards, index["state"], strict=True):
        for side in card["sides"]:
            if index["states"][state].startswith("refused"):
                assert side["captionCounts"] == side["imageCounts"] == [0, 0]
                assert side["kept"] == side["refused"] == []
            else:
                assert side["captions"] == ["a green, gold and red flag 0"]
                assert sorted(side["refusedCaptions"]) == [
                    ["", "too long"],
                    ["a green, gold and red flag 1", "too long"],
                ]
                assert side["imageCounts"] == [2, 1]
                assert [reason for _, reason in side["refused"]] == ["twin scores higher (rated 5, 2, 1)"]
                assert all(uri.startswith("data:image/jpeg;base64,") for uri in side["kept"])
            assert side["reference"].startswith("data:image/jpeg;base64,")


def test_accepted_twins_come_first_and_categories_take_turns() -> None:
    data = make_data(pairs=12)
    order = order_twins(data.tables, 1000)
    accepted = (order["verdict"] == "accepted").tolist()
    assert accepted == sorted(accepted, reverse=True)
    assert order["category"].iloc[:4].tolist() == ["Cuisine", "Symbol", "Cuisine", "Symbol"]
    for _, group in order.groupby(["verdict", "category"]):
        assert group["visual_similarity"].is_monotonic_decreasing
    assert len(order_twins(data.tables, 5)) == 5


def test_a_missing_picture_is_null() -> None:
    data = make_data()
    images = Images(data.images.ids[1:])
    written = dict(write_gallery(data.tables, images, Images([]), 10))
    sides = arguments(written["gallery/twins-00000.js"])[1][0]["sides"]
    shown = [uri for side in sides for uri in [*side["kept"], *(uri for uri, _ in side["refused"])]]
    assert shown.count(None) == 1
    assert [side["reference"] for side in sides] == [None, None]


@given(st.text() | st.just(HOSTILE))
def test_no_text_can_end_the_script_or_hide(text: str) -> None:
    script = script_call("f", [text])
    assert script.isascii()
    assert not set("<>&\x00\u2028") & set(script)
    assert script.count("\n") == 1
    shown = arguments(script)[0][0]
    assert len(shown) == len(text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)


def test_a_universal_that_fills_its_category_takes_turns() -> None:
    tables = make_data(pairs=40).tables
    tables.twins[["verdict", "category"]] = "accepted", "Art"
    tables.twins["reason"] = None
    universal = ["mask"] * 30 + ["fan"] * 10  # by falling similarity
    of = dict(zip(tables.twins["a_concept_id"], universal, strict=True))
    tables.concepts["universal"] = tables.concepts["concept_id"].map(of).fillna("mask")
    first = order_twins(tables, 8)["a_concept_id"].map(of)
    assert list(first) == ["fan", "mask"] * 4


def test_a_second_gallery_is_the_same_from_kept_thumbnails(tmp_path: Path) -> None:
    data = make_data(pairs=PAIRS)
    kept = KeyedStore(tmp_path / "thumbnails.sqlite")
    plain = dict(write_gallery(data.tables, data.images, data.references, 1000))
    first = dict(write_gallery(data.tables, data.images, data.references, 1000, kept))

    class Closed(Images):
        def read(self, ids: list[str]) -> list[Any]:
            raise AssertionError(f"{ids} are read once more")

    again = dict(write_gallery(data.tables, Closed(data.images.ids), data.references, 1000, kept))
    assert plain == first == again
