"""Reading a CSV: what is written comes back, each row knows its line, and a row that does not fit is named."""

import csv
import io
import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cultureclip.errors import ConfigurationError, SourceDataError
from cultureclip.reading.csv_table import read_csv_file, read_csv_table

CELLS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)
ENDS = ("\n", "\r\n", "\r")


@given(
    rows=st.lists(st.lists(CELLS, min_size=3, max_size=3).filter(lambda row: any(map(str.strip, row))), max_size=6),
    end=st.sampled_from(ENDS),
    blank=st.lists(st.integers(0, 2), min_size=6, max_size=6),
    mark=st.booleans(),
)
def test_every_cell_comes_back_and_every_row_knows_its_line(
    rows: list[list[str]], end: str, blank: list[int], mark: bool
) -> None:
    text, lines = "\ufeff" * mark + "a,b,c" + end, []
    for row, empty in zip(rows, blank, strict=False):
        text += end * empty
        lines.append(len(io.StringIO(text, newline="").readlines()) + 1)
        written = io.StringIO(newline="")
        csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator=end).writerow(row)
        text += written.getvalue()
    frame = read_csv_table(text)
    assert frame.to_numpy().tolist() == [[unicodedata.normalize("NFC", cell) for cell in row] for row in rows]
    assert list(frame.columns) == ["a", "b", "c"]
    assert list(frame.index) == lines
    assert frame.index.name == "line"


def test_what_pandas_reads_otherwise_well_is_read_alike() -> None:
    text = 'name,code\nx,NA\n"a, b",""\n"say ""hi""",1\n'
    expected = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(read_csv_table(text).reset_index(drop=True), expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b\n1,2,\n", ["line 2: 3 cells, the header has 2"]),  # pandas would take column a for an index
        ("a,b\n\n1,2\n\n1\n1,2,3\n", ["2 problem(s)", "line 5: 1 cells, the header has 2", "line 6: 3 cells"]),
        ('a,b\n"x\ny",2\n1,2,\n', ["line 4: 3 cells"]),
        ("a,b,\n1,2,\n", ["line 1: column 3 of 3 has no name", "comma at the end"]),
        ("a, a \n1,2\n", ["line 1: two columns are called 'a'"]),
        ('a,b\n1,"x"y\n', ["line 2: ", "double quotes"]),
        ('a,b\n1,2\n1,"never closed\n2,3\n', ["line 3: unexpected end of data", "double quotes"]),
        ("", ["it is empty"]),
        ("\n\n", ["it is empty"]),
        ("a,b\n1,caf\udce9\n", ["line 2: not UTF-8", "save the file as UTF-8"]),
        ("\udcff\udcfea\0,\0b\0\n", ["line 1: not UTF-8"]),
        ("a,b\n1,2\n\0,2\n", ["line 3: a NUL character"]),
        ("a,b\0\n1,2\n", ["line 1: a NUL character"]),
        ("caf\u00e9,cafe\u0301\n1,2\n", ["line 1: two columns are called 'caf\u00e9'"]),
        ("a,b\n1,2\n1," + "x" * 200_000 + "\n", ["line 3: field larger than field limit"]),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_line(text: str, expected: list[str]) -> None:
    with pytest.raises(SourceDataError) as caught:
        read_csv_table(text)
    for words in expected:
        assert words in str(caught.value)


def test_the_list_of_problems_is_cut() -> None:
    with pytest.raises(SourceDataError) as caught:
        read_csv_table("a,b\n" + "1\n" * 50, shown=3)
    assert "50 problem(s)" in str(caught.value)
    assert "and 47 more" in str(caught.value)
    assert str(caught.value).count("\n  line ") == 3


def test_a_catalog_that_reads_the_file_itself_is_told_how_to() -> None:
    with pytest.raises(ConfigurationError, match=r"atlas: .*DataFrame.*text\.TextDataset"):
        read_csv_table(pd.DataFrame())  # type: ignore[arg-type]


def test_rows_of_commas_alone_are_blank() -> None:
    assert read_csv_table("a,b\n,\n1,2\n , \n").to_numpy().tolist() == [["1", "2"]]


def test_a_table_that_no_memory_holds_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "own.csv").open("wb") as handle:
        handle.truncate(30 * 2**30)
    with pytest.raises(SourceDataError, match=r"own\.csv: cannot be read \(32,212,254,720 bytes"):
        read_csv_file(tmp_path / "own.csv")
