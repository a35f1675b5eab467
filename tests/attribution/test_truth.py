"""Accuracy of links and grades by hand."""

import pandas as pd
import pytest

from cultureclip.attribution.truth import measure_grades, measure_links

SHOWN = {"a": "kimono", "b": "kimono", "c": "sari", "d": "taco"}
CULTURES = {"kimono": {"Japan"}, "sari": {"India", "Nepal"}, "taco": {"Mexico"}}


def test_links_by_hand():
    rows = [
        ("a", "kimono", True),
        ("a", "sari", False),
        ("b", "sari", True),
        ("b", "kimono", False),
        ("c", "sari", True),
    ]
    rows += [("d", None, False), ("other", "kimono", True)]
    found = measure_links(pd.DataFrame(rows, columns=["image_id", "entity_id", "chosen"]), SHOWN)
    assert found["top_1"]["value"] == 0.5
    assert found["candidates"]["value"] == 0.75
    assert (found["top_1"]["n"], found["top_1"]["entities"]) == (4, 3)
    assert found["top_1"]["low"] < 0.5 < found["top_1"]["high"]


def test_grades_by_hand():
    grades = {
        "a": {"Japan": 4, "India": 4, "Peru": 2},  # a tie and a win: 0.75
        "b": {"Japan": 1, "India": 5, "Peru": None},  # a loss: 0
        "c": {"India": 5, "Nepal": 1, "Japan": 3},  # a win and a loss: 0.5
        "d": {"Japan": 1, "India": 2, "Peru": 3},  # no right label was asked
        "other": {"Japan": 5},
    }
    rows = [(image, label, grade) for image, row in grades.items() for label, grade in row.items()]
    table = pd.DataFrame(rows, columns=["image_id", "label", "grade"]).astype({"grade": "Int64"})
    found = measure_grades(table, SHOWN, CULTURES, "grade")
    assert found["auc"]["value"] == pytest.approx((0.75 + 0 + 0.5) / 3)
    assert (found["auc"]["n"], found["auc"]["entities"]) == (3, 2)
    assert found["mean_right"] == pytest.approx((4 + 1 + 5 + 1) / 4)
    assert found["mean_other"] == pytest.approx((4 + 2 + 5 + 3 + 1 + 2 + 3) / 7)


def test_nothing_to_compare():
    table = pd.DataFrame({"image_id": ["x"], "label": ["Japan"], "grade": [3.0]})
    assert measure_grades(table, SHOWN, CULTURES, "grade") == {"auc": None, "mean_right": None, "mean_other": None}
    links = pd.DataFrame({"image_id": ["x"], "entity_id": ["kimono"], "chosen": [True]})
    assert measure_links(links, SHOWN) == {"top_1": None, "candidates": None}
