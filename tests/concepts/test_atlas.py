"""Reading a table of concepts: what is refused, how it is said, and that nothing is lost on the way."""

import re
import unicodedata
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cultureclip.concepts.atlas import OWN_LICENCE, read_concepts
from cultureclip.errors import SourceDataError
from cultureclip.ids import concept_id
from cultureclip.reading.csv_table import read_csv_table
from cultureclip.tables import CONCEPTS

ATLAS = Path(__file__).parents[2] / "data/01_raw/atlas.csv"


def row(**changes: str) -> dict[str, str]:
    return {
        "emoji": "",
        "name": "kimono",
        "cultures": "JP",
        "universal": "garment",
        "category": "Clothing",
        "context": "A robe of Japan.",
        "key_visual_features": "wide sleeves | broad sash",
        "aliases": "",
        "source": "Wikipedia: Kimono",
        "source_ref": "https://en.wikipedia.org/wiki/Kimono",
        **changes,
    }


def read(*rows: dict[str, Any]) -> pd.DataFrame:
    return read_concepts(read_csv_table(pd.DataFrame(list(rows)).to_csv(index=False)))


def test_shipped_atlas_keeps_every_row() -> None:
    frame = pd.read_csv(ATLAS, dtype=str, keep_default_na=False)
    concepts = read_concepts(read_csv_table(ATLAS.read_text(encoding="utf-8")))
    CONCEPTS.validate(concepts)
    assert list(concepts["name"]) == list(frame["name"])
    assert ["NA"] in concepts["cultures"].to_list()  # Namibia, not a missing value


def test_cells_are_split_sorted_and_defaulted() -> None:
    concept = read(row(cultures="SN | JP|JP", aliases="a | b", emoji="👘")).iloc[0]
    assert concept["cultures"] == ["JP", "SN"]
    assert concept["aliases"] == ["a", "b"]
    assert concept["key_visual_features"] == ["wide sleeves", "broad sash"]
    assert (concept["licence"], concept["terms"]) == (OWN_LICENCE, "train")
    assert concept["reference_image"] == "emoji:👘"
    assert concept["concept_id"] == concept_id("kimono", ["JP", "SN"], "Clothing")


def test_spaces_around_a_cell_and_the_joiners_of_scripts_are_fine() -> None:
    concept = read(row(category=" Clothing ", terms=" eval_only ", emoji=" 👘", name=" می\u200cروم ")).iloc[0]
    assert (concept["category"], concept["terms"]) == ("Clothing", "eval_only")
    assert (concept["reference_image"], concept["name"]) == ("emoji:👘", "می\u200cروم")


def test_names_of_flags_need_no_special_care() -> None:
    name = "flag of St. Helena, Ascension & Tristan da Cunha, Côte d'Ivoire’s {0} %s"
    assert read(row(name=name))["name"].iloc[0] == name


@pytest.mark.parametrize(
    ("changes", "cause", "remedy"),
    [
        ({"cultures": ""}, "no culture", "JP"),
        ({"cultures": " | "}, "no culture", "JP"),
        ({"cultures": "JP | QZ"}, "unknown culture 'QZ'", "ISO 3166-1"),
        ({"cultures": "<b>|</b>"}, "unknown culture '<b>'", "ISO 3166-1"),
        ({"category": "Food"}, "unknown category 'Food'", "Cuisine, Clothing"),
        ({"name": ""}, "empty", "Fill in"),
        ({"name": "   "}, "empty", "Fill in"),
        ({"name": "…"}, "has no letter", "words"),
        ({"name": "../../x"}, "contains '/'", "no path separators"),
        ({"name": "..\\x"}, "contains '\\\\'", "no path separators"),
        ({"name": "<script>alert(1)</script>"}, "contains", "no angle brackets"),
        ({"name": "a\x07b"}, r"control character '\x07'", "Remove it"),
        ({"name": "a\nb"}, r"control character '\n'", "Remove it"),
        ({"name": "a\u202eb"}, r"control character '\u202e'", "Remove it"),
        ({"name": "kim\u200bono"}, r"control character '\u200b'", "Remove it"),
        ({"context": "A robe\U000e0049 of Japan"}, r"control character '\U000e0049'", "Remove it"),
        ({"cultures": "ZZ"}, "unknown culture 'ZZ'", "ISO 3166-1"),
        ({"aliases": " | ".join(f"a{i}" for i in range(300))}, "300 values, the limit is 250", "Keep"),
        ({"reference_image": "x" * 300}, "no file '…xxx", "path"),
        ({"name": "x" * 81}, "81 characters long, the limit is 80", "Shorten"),
        ({"name": "x" * 100_000}, "100000 characters long", "Shorten"),
        ({"context": "x" * 1001}, "1001 characters long, the limit is 1000", "Shorten"),
        ({"context": ""}, "empty", "Fill in"),
        ({"key_visual_features": ""}, "no key visual feature", "at least one"),
        ({"aliases": "x" * 121}, "the limit is 120", "Shorten"),
        ({"terms": "mine"}, "unknown terms 'mine'", "eval_only"),
        ({"emoji": "kimono"}, "not an emoji that can be drawn", "another"),
        ({"reference_image": "/nowhere/x.png"}, "no file '/nowhere/x.png'", "path"),
    ],
)
def test_bad_row_is_named_with_cause_and_remedy(changes: dict[str, str], cause: str, remedy: str) -> None:
    good = row(name="hanbok", cultures="KR")
    with pytest.raises(SourceDataError) as caught:
        read(good, row(**changes))
    message = str(caught.value)
    assert "line 3 (" in message
    assert cause in message
    assert remedy in message
    assert "line 2" not in message
    assert len(message) < 500  # a 100 kB name is not repeated
    assert "\x07" not in message
    assert "\u202e" not in message


def test_emoji_and_picture_exclude_each_other(tmp_path: Path) -> None:
    picture = tmp_path / "x.png"
    picture.write_bytes(b"x")
    assert read(row(reference_image=str(picture)))["reference_image"].iloc[0] == str(picture)
    with pytest.raises(SourceDataError, match="both an emoji and a reference_image"):
        read(row(emoji="👘", reference_image=str(picture)))


@pytest.mark.parametrize("changes", [{}, {"cultures": "KR"}, {"name": "Kimono"}])
def test_duplicates_are_refused(changes: dict[str, str]) -> None:
    with pytest.raises(SourceDataError, match=r"line 3 .*duplicate of line 2"):
        read(row(), row(**changes))


def test_all_problems_are_collected_and_the_list_is_cut() -> None:
    rows = [row(name=f"thing {i}", cultures="", category="?") for i in range(30)]
    with pytest.raises(SourceDataError) as caught:
        read_concepts(read_csv_table(pd.DataFrame(rows).to_csv(index=False)), shown=5)
    message = str(caught.value)
    assert "60 problem(s)" in message
    assert "and 55 more" in message
    assert message.count("line ") == 5


def test_columns_must_be_known_and_complete() -> None:
    with pytest.raises(SourceDataError, match="no column category, context"):
        read_concepts(pd.DataFrame([row()]).drop(columns=["category", "context"]))
    with pytest.raises(SourceDataError, match=r"unknown column 'name\.1'"):
        read(row() | {"name.1": "twice"})
    with pytest.raises(SourceDataError, match="no row"):
        read_concepts(pd.DataFrame([row()]).head(0))


def test_missing_cells_count_as_empty_and_rows_without_a_line_are_named_by_the_index() -> None:
    with pytest.raises(SourceDataError, match=r"row 1 \('x'\): cultures: no culture"):
        read_concepts(pd.DataFrame([row(), row(name="x") | {"cultures": float("nan")}]))


def test_a_row_is_named_by_its_line_after_blank_lines_and_line_breaks_in_quotes() -> None:
    header, good = pd.DataFrame([row()]).to_csv(index=False).splitlines()
    broken, unknown = good.replace("kimono", '"two\r\nlines"'), good.replace("JP", "QZ")
    text = "\ufeff" + "\r\n".join([header, "", good, "", broken, unknown])
    with pytest.raises(SourceDataError) as caught:
        read_concepts(read_csv_table(text))
    assert "line 5 ('two\\r\\nlines'): name: contains the control character" in str(caught.value)
    assert "line 7 ('kimono'): cultures: unknown culture 'QZ'" in str(caught.value)
    assert "2 problem(s)" in str(caught.value)


def test_the_example_of_the_docs_is_a_table_of_two_concepts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ATLAS.parents[2] / "docs/your-own-concepts.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```csv\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/01_raw/pictures").mkdir(parents=True)
    for name in ("hanbok", "hanfu"):
        (tmp_path / f"data/01_raw/pictures/{name}.jpg").touch()
    concepts = read_concepts(read_csv_table(example))
    CONCEPTS.validate(concepts)
    assert [sorted(cultures) for cultures in concepts["cultures"]] == [["KP", "KR"], ["CN"]]


def test_names_and_reference_images_are_one_in_both_unicode_forms(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))
    (tmp_path / f"{decomposed}.png").touch()
    (concept,) = read(row(name=decomposed, reference_image=str(tmp_path / f"{composed}.png"))).to_dict("records")
    assert concept["concept_id"] == concept_id(composed, ["JP"], "Clothing")
    assert concept["reference_image"] == str(tmp_path / f"{decomposed}.png")
    with pytest.raises(SourceDataError, match="duplicate of line 2"):
        read(row(name=decomposed), row(name=composed.upper()))
