"""The audit against its definition, computed by hand."""

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cultureclip.attribution.audit import audit_grades


def table(grades: list[list[float | None]]) -> pd.DataFrame:
    rows = [
        {"image_id": f"i{image}", "label": f"l{label}", "grade": grade}
        for image, row in enumerate(grades)
        for label, grade in enumerate(row)
    ]
    return pd.DataFrame(rows).astype({"grade": "Int64"}).sample(frac=1, random_state=1)


def distance(p: list[float], q: list[float]) -> float:
    """The Jensen-Shannon distance as it is defined: the root of the mean divergence from the middle."""
    p, q = [x / sum(p) for x in p], [x / sum(q) for x in q]
    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]

    def divergence(r):
        return sum(a * math.log(a / m) for a, m in zip(r, middle, strict=True))

    return math.sqrt(max(0.0, (divergence(p) + divergence(q)) / 2))


def test_a_batch_by_hand():
    grades = [[1, 1, 2], [5, 1, 4], [1, 3, 3]]
    found = audit_grades(table(grades), "grade")
    distances = [distance(*pair) for pair in combinations(grades, 2)]
    mean = sum(distances) / 3
    assert found["distance_mean"] == pytest.approx(mean)
    assert found["distance_std"] == pytest.approx(math.sqrt(sum((d - mean) ** 2 for d in distances) / 3))
    assert (found["distance_min"], found["distance_max"]) == pytest.approx((min(distances), max(distances)))
    assert (found["coverage"], found["labels_reached"], found["labels"]) == (2 / 3, 2, 3)
    assert (found["images"], found["images_excluded"], found["grades_missing"]) == (3, 0, 0)


def test_two_images_of_opposite_grades():
    """(1, 5) and (5, 1): p = (1/6, 5/6), and the middle is even."""
    divergence = 1 / 6 * math.log(1 / 3) + 5 / 6 * math.log(5 / 3)
    found = audit_grades(table([[1, 5], [5, 1]]), "grade")
    assert found["distance_mean"] == pytest.approx(math.sqrt(divergence))
    assert found["distance_std"] == 0


def test_a_missing_grade_is_counted_and_is_no_nan():
    whole = audit_grades(table([[1, 1, 2], [5, 1, 4]]), "grade")
    found = audit_grades(table([[1, 1, 2], [5, 1, 4], [1, None, 5], [None, None, None]]), "grade")
    assert found["distance_mean"] == whole["distance_mean"]
    assert (found["images"], found["images_excluded"], found["grades_missing"]) == (4, 2, 4)
    assert found["labels_reached"] == 2


@pytest.mark.parametrize("grades", [[[3, 4]], [[None, 4], [2, 2]]])
def test_one_complete_image_has_no_distance(grades):
    found = audit_grades(table(grades), "grade")
    assert found["distance_mean"] is None
    assert found["coverage"] == 0.5


def test_without_any_grade_there_is_no_coverage():
    found = audit_grades(table([[None, None], [None, None]]), "grade")
    assert (found["coverage"], found["labels_reached"], found["images_excluded"]) == (None, 0, 2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(1, 5), min_size=4, max_size=4), min_size=2, max_size=6))
def test_distances_equal_the_definition_and_are_bounded(grades):
    found = audit_grades(table(grades), "grade")
    distances = [distance(*pair) for pair in combinations(grades, 2)]
    assert found["distance_mean"] == pytest.approx(np.mean(distances), abs=1e-7)
    assert 0 <= found["distance_min"] <= found["distance_max"] <= math.sqrt(math.log(2))
    assert not any(isinstance(value, float) and math.isnan(value) for value in found.values())
