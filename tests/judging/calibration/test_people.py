"""People's ratings: every bad line is named, and nothing that is no rating becomes a number."""

import numpy as np
import pytest

from cultureclip.errors import SourceDataError
from cultureclip.judging.calibration.people import read_people
from cultureclip.judging.rating import CRITERIA

HEADER = "image_id,rater,authenticity,consistency,cultural_fidelity\n"
KNOWN = {"a1", "b2"}


def refusal(*lines: str, header: str = HEADER) -> str:
    with pytest.raises(SourceDataError) as caught:
        read_people(header + "\n".join(lines), KNOWN)
    return str(caught.value)


def test_ratings_are_read_and_an_empty_cell_is_missing():
    people = read_people(HEADER + "a1,ann,5,1,3\n\nb2,ann, 2 ,,4\n", KNOWN)
    assert people["image_id"].tolist() == ["a1", "b2"]
    np.testing.assert_array_equal(people[list(CRITERIA)], [[5, 1, 3], [2, np.nan, 4]])


@pytest.mark.parametrize(
    "cell", ["0", "6", "3.5", "3.0", "NaN", "nan", "null", "good", "-1", "1e0", "\uff15", "\u0663", "1_0"]
)
def test_what_is_no_rating_is_refused_with_its_line(cell):
    message = refusal("a1,ann,5,1,3", f"b2,ann,5,{cell},3")
    assert "1 problem(s)" in message and f"line 3: consistency is {cell!r}" in message


def test_all_bad_lines_are_in_one_error():
    message = refusal("c3,ann,5,1,3", "a1,,5,1,3", "b2,bob,1,2,3", "b2,bob,1,2,9")
    assert "line 2: no judge was asked about image 'c3'" in message
    assert "line 3: no rater" in message
    assert "line 5: 'bob' rated image 'b2' in line 4 already" in message
    assert "line 5: cultural_fidelity is '9'" in message and "4 problem(s)" in message


def test_a_long_list_is_cut_and_counted():
    message = refusal(*(f"x{i},ann,1,1,1" for i in range(50)))
    assert "50 problem(s)" in message and "and 30 more" in message and "line 22" not in message


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "it is empty"),
        (HEADER, "nobody rated anything"),
        (HEADER + "a1,ann,,,\n", "nobody rated anything"),
        ("image_id,rater,authenticity\na1,ann,3\n", "no column consistency, cultural_fidelity"),
        (HEADER.replace("\n", ",note\n") + "a1,ann,1,1,1,x\n", "unknown column 'note'"),
        (HEADER + "a1,ann,1,1\n", "line 2: 4 cells, the header has 5"),
        (HEADER + "a1,\udcff,1,1,1\n", "line 2: not UTF-8"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused(text, cause):
    with pytest.raises(SourceDataError, match="people's ratings") as caught:
        read_people(text, KNOWN)
    assert cause in str(caught.value)
