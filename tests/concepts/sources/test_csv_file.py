"""A CSV of one's own columns: what becomes a concept, what is counted, and which files are refused."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cultureclip.errors import SourceDataError
from cultureclip.ids import concept_id
from cultureclip.tables import CONCEPT_SOURCES, CONCEPTS
from tests.concepts.sources.support import dropped, gather, read_source

COLUMNS = {"name": "Dish", "countries": "From", "category": "Type"}


def table(path: Path, content: str | bytes, **changes: Any) -> dict[str, Any]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return {
        "kind": "csv",
        "title": "my list",
        "path": str(path),
        "licence": "CC0-1.0",
        "terms": "train",
        "columns": COLUMNS,
        "categories": {"dish": "Cuisine"},
        **changes,
    }


def test_columns_are_named_by_the_configuration_and_cells_are_brought_to_one_form(tmp_path: Path) -> None:
    content = (
        "\ufeffDish,From,Type,Also,Note,Looks,Photo,Link,More\n"
        'Hoppin&#039;\u00a0  John,America | England,DISH,"a|b|<x>| A","One, two.",red|round,http://x/y.jpg?a=1&copy=2,http://w,x\n'
    )
    columns = COLUMNS | {
        "aliases": "Also",
        "context": "Note",
        "features": "Looks",
        "picture_url": "Photo",
        "ref": "Link",
    }
    gathered = gather(table(tmp_path / "x.csv", content, columns=columns))
    (concept,) = gathered.concepts.to_dict("records")
    assert concept == {
        "concept_id": concept_id("Hoppin' John", ["GB-ENG", "US"], "Cuisine"),
        "name": "Hoppin' John",
        "cultures": ["GB-ENG", "US"],
        "universal": "DISH",
        "category": "Cuisine",
        "context": "One, two.",
        "key_visual_features": ["red", "round"],
        "source": "my list",
        "source_ref": "http://w",
        "aliases": ["a", "b", "A"],
        "licence": "CC0-1.0",
        "terms": "train",
        "reference_image": None,
    }
    (source,) = gathered.sources.to_dict("records")
    assert (source["place"], source["picture_url"]) == ("x.csv line 2", "http://x/y.jpg?a=1&copy=2")
    assert gathered.report["sources"][0]["aliases_left_out"] == 1
    CONCEPTS.validate(gathered.concepts)
    CONCEPT_SOURCES.validate(gathered.sources)


def test_every_row_that_is_no_concept_is_counted_by_reason_with_its_place(tmp_path: Path) -> None:
    rows = [
        ("kimchi,KR,dish", None),
        (",KR,dish", "no name"),
        ("…,KR,dish", "no name"),
        ("x" * 81 + ",KR,dish", "name is too long"),
        ("../../etc/passwd,KR,dish", "name has characters that no name may have"),
        ("<script>alert(1)</script>,KR,dish", "name has characters that no name may have"),
        ("a\u202eb,KR,dish", "name has characters that no name may have"),
        ("a\0b,KR,dish", "name has characters that no name may have"),
        ("soup,,dish", "no culture"),
        ("soup,Atlantis,dish", "no culture: an unknown country"),
        ("soup,Soviet Union,dish", "no culture: a state that is no more"),
        ("soup,Korea,dish", "no culture: a name of several countries"),
        ("soup,KR,galaxy", "category is not mapped"),
        ("soup,KR", "malformed row"),
        ("soup,KR,dish,more", "malformed row"),
        ('"so"up,KR,dish', "malformed row"),
        ("kimchi,KR,dish", None),
        ("ساری ,IN,dish", None),
    ]
    gathered = gather(table(tmp_path / "x.csv", "Dish,From,Type\n" + "".join(f"{row}\n" for row, _ in rows)))
    expected: dict[str, list[str]] = {}
    for line, (_, reason) in enumerate(rows, 2):
        if reason:
            expected.setdefault(reason, []).append(f"x.csv line {line}")
    (report,) = gathered.report["sources"]
    assert report["examples"] == expected
    assert report["rows"] == len(rows)
    assert list(gathered.concepts["name"]) == ["kimchi", "ساری"]
    assert report["rows_by_rule"] == {"new": 2, "name": 1}
    assert report["not_understood"]["country: historical"] == {"Soviet Union": 1}
    assert report["not_understood"]["category"] == {"galaxy": 1}


def test_combining_characters_spell_the_same_name_and_a_repeated_column_is_refused(tmp_path: Path) -> None:
    rows = ["ph\u1edf,VN,dish", "pho\u031b\u0309,VN,dish", "\u0301\u0302,VN,dish"]
    gathered = gather(table(tmp_path / "x.csv", "Dish,From,Type\n" + "".join(f"{row}\n" for row in rows)))
    assert list(gathered.concepts["name"]) == ["ph\u1edf"]
    assert gathered.report["sources"][0]["rows_by_rule"] == {"new": 1, "name": 1}
    assert sum(dropped(gathered).values()) == 1
    with pytest.raises(SourceDataError, match="Dish"):
        gather(table(tmp_path / "y.csv", "Dish,From,Type,Dish\nkimchi,KR,dish,soup\n"))


def test_a_country_beside_an_unknown_one_is_kept_and_the_unknown_one_reported(tmp_path: Path) -> None:
    gathered = gather(table(tmp_path / "x.csv", "Dish,From,Type\nkimchi,Joseon|South Korea,dish\n"))
    assert gathered.concepts["cultures"].to_list() == [["KR"]]
    assert gathered.report["sources"][0]["not_understood"] == {"country: historical": {"Joseon": 1}}


def test_rows_in_another_encoding_are_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    content = b"Dish,From,Type\n" + "pão,BR,dish\n".encode("latin-1") + b"kimchi,KR,dish\n"
    gathered = gather(table(tmp_path / "x.csv", content))
    assert dropped(gathered) == {"row is not UTF-8": 1}
    with pytest.raises(SourceDataError, match="no column Dish, From, Type"):
        gather(table(tmp_path / "x.csv", content.decode("latin-1").encode("utf-16")))


def test_a_quote_that_never_ends_swallows_no_more_than_a_cell_may_hold(tmp_path: Path) -> None:
    content = 'Dish,From,Type\n"lost,KR,dish\n' + "kimchi,KR,dish\n" * 20_000
    gathered = gather(table(tmp_path / "x.csv", content))
    assert list(gathered.concepts["name"]) == ["kimchi"]
    assert gathered.report["sources"][0]["examples"]["malformed row"][0].startswith("x.csv lines 2 to ")
    assert gathered.report["sources"][0]["rows_by_rule"]["name"] > 10_000


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ("", "it is empty"),
        ("\n\n", "it has no header"),
        ("Dish,From,Type\n", "not one of 0 rows is a concept .it has no row"),
        ("Dish,From\nkimchi,KR\n", "no column Type; there are Dish, From"),
        ("Dish,From,Type,Type\n", "two columns are called Type"),
        ("Dish,From,Type\n" + "x" * (16 * 2**20 + 1), "line 2 is longer than"),
        ("Dish,From,Type\nsoup,Mars,dish\n", "not one of 1 rows is a concept .1 no culture: an unknown country"),
    ],
)
def test_files_that_give_nothing_are_refused_with_their_cause(tmp_path: Path, content: str | bytes, cause: str) -> None:
    with pytest.raises(SourceDataError, match=cause):
        gather(table(tmp_path / "x.csv", content))


def test_a_cut_archive_and_a_missing_file_are_typed_errors(tmp_path: Path) -> None:
    packed = gzip.compress(b"Dish,From,Type\n" + b"".join(b"dish %d,KR,dish\n" % i for i in range(9999)))
    with pytest.raises(SourceDataError, match="cannot be read beyond line"):
        gather(table(tmp_path / "x.csv", packed[:-9]))
    with pytest.raises(SourceDataError, match="no such file or folder"):
        gather(table(tmp_path / "x.csv", "x") | {"path": str(tmp_path / "none")})
    (tmp_path / "folder").mkdir()
    with pytest.raises(SourceDataError, match=r"no file \*.csv"):
        gather(table(tmp_path / "x.csv", "x") | {"path": str(tmp_path / "folder")})


def test_a_picture_needs_facts_and_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    picture = tmp_path / "a.png"
    rows = (f"a,KR,dish,n,l,{picture}", f"b,KR,dish,,l,{picture}", "c,KR,dish,n,l,none.png")
    content = "\n".join(["Dish,From,Type,Note,Looks,File", *rows])
    columns = COLUMNS | {"context": "Note", "features": "Looks", "reference_image": "File"}
    gathered = gather(table(tmp_path / "x.csv", content, columns=columns))
    assert gathered.concepts["reference_image"].to_list() == [f"{tmp_path}/a.png"]
    assert set(dropped(gathered)) == {"picture without a context and a key visual feature", "picture file is missing"}


def test_licence_and_terms_of_a_row_come_first_and_never_loosen(tmp_path: Path) -> None:
    content = "Dish,From,Type,L,T\na,KR,dish,MIT,train\nb,KR,dish,,eval_only\nc,KR,dish,,maybe\n"
    columns = COLUMNS | {"licence": "L", "terms": "T"}
    gathered = gather(table(tmp_path / "x.csv", content, columns=columns, terms="no_redistribute"))
    rows = gathered.concepts[["licence", "terms"]].to_numpy().tolist()
    assert rows == [["MIT", "no_redistribute"], ["CC0-1.0", "eval_only"]]
    assert dropped(gathered) == {"unknown terms": 1}


@pytest.mark.parametrize(
    "changes",
    [
        {"columnz": {}},
        {"columns": {"name": "Dish"}},
        {"columns": COLUMNS | {"nam": "x"}},
        {"always": {"category": "dish"}},
        {"always": {"nam": "dish"}},
        {"categories": {"dish": "Food"}},
        {"countries": {"Korea": ["Corea"]}},
        {"terms": "free"},
        {"delimiter": "||"},
        {"kind": "cvs"},
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read_source(**table(tmp_path / "x.csv", "x") | changes)
