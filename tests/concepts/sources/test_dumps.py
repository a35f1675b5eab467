"""WIT and Wikidata: dumps of millions of lines, read line by line, with damage counted."""

import bz2
import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cultureclip.concepts.sources.source import Material
from cultureclip.concepts.sources.tally import Tally
from cultureclip.errors import SourceDataError
from cultureclip.tables import CONCEPT_SOURCES, CONCEPTS
from tests.concepts.sources.support import dropped, gather, read_source

COLUMNS = (
    "language",
    "page_url",
    "image_url",
    "page_title",
    "section_title",
    "hierarchical_section_title",
    "caption_reference_description",
    "caption_attribution_description",
    "caption_alt_text_description",
    "mime_type",
    "original_height",
    "original_width",
    "is_main_image",
    "attribution_passes_lang_id",
    "page_changed_recently",
    "context_page_description",
    "context_section_description",
)


def page(title: str, description: str, language: str = "en", number: int = 0) -> str:
    cells = {
        "language": language,
        "page_url": f"https://{language}.wikipedia.org/wiki/{title.replace(' ', '_')}",
        "image_url": f"https://upload.example/{title}-{number}.jpg",
        "page_title": title,
        "context_page_description": description,
    }
    return "\t".join(cells.get(column, "") for column in COLUMNS)


def write_pages(folder: Path, *lines: str) -> dict[str, Any]:
    content = "\n".join(["\t".join(COLUMNS), *lines]) + "\n"
    (folder / "wit_v1.train.all-00000-of-00010.tsv.gz").write_bytes(gzip.compress(content.encode()))
    return {"kind": "wit", "path": str(folder)}


def test_a_page_gives_name_address_picture_kind_and_country(tmp_path: Path) -> None:
    kimono = "The kimono is a traditional Japanese garment. It is worn in China too."
    gathered = gather(
        write_pages(
            tmp_path,
            page("Kimono", kimono),
            page("Kimono", kimono, number=1),
            page("Kimono", "Der Kimono", "de"),
            page("Bibimbap", 'The "bibimbap" is a South Korean dish'),
            page("Half Dome", "Half Dome is a granite formation in California."),
            page("Bread", "Bread is a staple food."),
            "one\ttwo",
        )
    )
    CONCEPTS.validate(gathered.concepts)
    CONCEPT_SOURCES.validate(gathered.sources)
    facts = gathered.concepts[["name", "cultures", "universal", "category", "context"]].to_numpy().tolist()
    assert facts == [
        ["Kimono", ["JP"], "garment", "Clothing", "The kimono is a traditional Japanese garment"],
        ["Bibimbap", ["KR"], "dish", "Cuisine", 'The "bibimbap" is a South Korean dish'],
    ]
    assert gathered.sources[["language", "picture_url"]].iloc[0].to_list() == [
        "en",
        "https://upload.example/Kimono-0.jpg",
    ]
    assert dropped(gathered) == {
        "same row again": 1,
        "page is in another language": 1,
        "category is not mapped": 1,
        "no culture": 1,
        "malformed row": 1,
    }


def test_quotes_line_breaks_and_right_to_left_text_inside_cells_are_text(tmp_path: Path) -> None:
    lines = [
        page("شلوار", "\u200fشلوار (shalwar) is a Pakistani garment"),
        page('"Quoted ""name"""', '"A ""famous"" Thai dish\nover two lines"'),
        page("Cafe\u0301 touba", "Café Touba is a Senegalese drink"),
        page("evil\u202ename", "evil is a Thai dish"),
    ]
    gathered = gather(write_pages(tmp_path, *lines))
    assert list(gathered.concepts["name"]) == ["شلوار", 'Quoted "name"', "Café touba"]
    assert gathered.concepts["context"].iloc[1] == 'A "famous" Thai dish'
    assert dropped(gathered) == {"name has characters that no name may have": 1}


def test_other_languages_need_words_of_theirs(tmp_path: Path) -> None:
    pages = write_pages(tmp_path, page("Kimono", "Der Kimono ist ein Kleidungsstück aus Japan", "de"))
    german = gather(pages | {"languages": ["de"], "categories": {"Kleidungsstück": "Clothing"}})
    assert german.concepts[["name", "cultures", "universal"]].to_numpy().tolist() == [
        ["Kimono", ["JP"], "kleidungsstück"]
    ]


def test_memory_does_not_grow_with_the_dump(tmp_path: Path) -> None:
    peaks = []
    for lines in (2_000, 20_000):
        source = read_source(**write_pages(tmp_path, *(page(f"Place {n}", "A place. " * 40) for n in range(lines))))
        tally = Tally()
        tracemalloc.start()
        assert list(source.rows(tally, Material(""))) == []
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert tally.rows == lines
    assert peaks[1] < peaks[0] + 1_000_000


def test_wit_needs_its_columns(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text("language\tpage_title\n")
    with pytest.raises(SourceDataError, match="no column page_url, image_url, context_page_description"):
        gather({"kind": "wit", "path": str(tmp_path)})


def item(known: str, label: str | None = None, **claims: list[Any]) -> dict[str, Any]:
    def statement(value: Any) -> dict[str, Any]:
        value, rank = value if isinstance(value, tuple) else (value, "normal")
        if value is None:
            return {"mainsnak": {"snaktype": "somevalue"}, "rank": rank}
        data = {"id": value, "entity-type": "item"} if value.startswith("Q") else value
        return {"mainsnak": {"snaktype": "value", "datavalue": {"value": data}}, "rank": rank}

    return {
        "id": known,
        "type": "item",
        "labels": {"en": {"language": "en", "value": label}} if label else [],
        "descriptions": {"en": {"language": "en", "value": f"about {label}"}},
        "aliases": {"en": [{"language": "en", "value": f"{label} too"}]},
        "claims": {name: list(map(statement, values)) for name, values in claims.items()} or [],
    }


def write_dump(path: Path, *entities: Any, **settings: Any) -> dict[str, Any]:
    lines = [entity if isinstance(entity, str) else json.dumps(entity) for entity in entities]
    path.write_bytes(bz2.compress(("[\n" + ",\n".join(lines) + "\n]\n").encode()))
    return {
        "kind": "wikidata",
        "path": str(path),
        "categories": {"Q746549": "Cuisine", "Q11460": "Clothing"},
    } | settings


JAPAN, TURKEY = item("Q17", "Japan", P297=["JP"]), item("Q43", "Turkey", P297=["TR", ("TK", "deprecated")])
USSR = item("Q15180", "Soviet Union", P297=["SU"])


def test_things_get_their_category_from_a_class_and_their_countries_from_the_same_dump(tmp_path: Path) -> None:
    source = write_dump(
        tmp_path / "latest-all.json.bz2",
        item("Q1", "ramen", P31=["Q746549"], P495=["Q17", "Q43"], P17=["Q15180"], P18=["Tonkotsu ramen.jpg"]),
        JAPAN,
        item("Q2", "kaftan", P279=["Q5", "Q11460"], P495=[], P17=[("Q17", "deprecated"), ("Q43", "preferred"), "Q17"]),
        TURKEY,
        USSR,
    )
    gathered = gather(source)
    CONCEPTS.validate(gathered.concepts)
    facts = gathered.concepts[["name", "cultures", "category", "universal", "context", "aliases"]].to_numpy().tolist()
    assert facts == [
        ["ramen", ["JP", "TR"], "Cuisine", "cuisine", "about ramen", ["ramen too"]],
        ["kaftan", ["TR"], "Clothing", "clothing", "about kaftan", ["kaftan too"]],
    ]
    first = gathered.sources.iloc[0]
    assert (first["wikidata"], first["source_ref"]) == ("Q1", "https://www.wikidata.org/wiki/Q1")
    assert first["picture_url"] == "https://commons.wikimedia.org/wiki/Special:FilePath/Tonkotsu_ramen.jpg"
    assert gathered.concepts["licence"].iloc[0] == "CC0-1.0"


def test_what_cannot_be_a_concept_is_counted_and_unknown_countries_are_named(tmp_path: Path) -> None:
    source = write_dump(
        tmp_path / "x.json",
        item("Q1", "ramen", P31=["Q746549"], P495=["Q17"]),
        item("Q2", "borscht", P31=["Q746549"], P495=["Q15180"]),
        item("Q3", "manna", P31=["Q746549"], P495=["Q99999"]),
        item("Q4", "stew", P31=["Q746549"]),
        item("Q5", "stew", P31=["Q746549"], P495=[None]),
        item("Q6", None, P31=["Q746549"], P495=["Q17"]),
        item("Q7", "bridge", P31=["Q12280"], P17=["Q17"]),
        item("P8", "a property", P31=["Q746549"], P17=["Q17"]),
        '{"id": "Q9", "labels": "Q746549" "P17"}',
        '{"labels": {"en": ["Q746549", "P17"]}}',
        '["Q746549", "P17"]',
        '{"id": "Q10", "claims": {"P31": "Q746549", "P17": [null, 1, {"mainsnak": []}]}}',
        JAPAN,
        USSR,
    )
    gathered = gather(source)
    assert list(gathered.concepts["name"]) == ["ramen"]
    assert dropped(gathered) == {
        "category is not mapped": 5,
        "malformed row": 3,
        "no culture": 2,
        "no culture: a state that is no more": 1,
        "no culture: an unknown country": 1,
        "no name": 1,
    }
    report = gathered.report["sources"][0]["not_understood"]
    assert report == {"country: historical": {"SU": 1}, "country: unknown": {"Q99999": 1}}


def test_a_part_of_a_dump_takes_its_countries_from_the_configuration(tmp_path: Path) -> None:
    ramen = item("Q1", "ramen", P31=["Q746549"], P495=["Q17"])
    gathered = gather(write_dump(tmp_path / "x.json", ramen, countries={"Q17": ["JP"]}))
    assert gathered.concepts["cultures"].to_list() == [["JP"]]
    with pytest.raises(SourceDataError, match="1 no culture: an unknown country"):
        gather(write_dump(tmp_path / "x.json", ramen))


def test_labels_are_taken_in_the_order_of_the_languages(tmp_path: Path) -> None:
    ramen = item("Q1", "ramen", P31=["Q746549"], P495=["Q17"])
    ramen["labels"]["ja"] = {"language": "ja", "value": "ラーメン"}
    gathered = gather(write_dump(tmp_path / "x.json", ramen, JAPAN, languages=["ja", "en"]))
    assert gathered.concepts[["name", "aliases"]].to_numpy().tolist() == [["ラーメン", ["ramen", "ramen too"]]]
    assert gathered.sources["language"].to_list() == ["ja"]


@pytest.mark.parametrize("changes", [{"categories": {}}, {"categories": {"dish": "Cuisine"}}, {"properties": ["17"]}])
def test_wrong_ids_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read_source(**write_dump(tmp_path / "x.json", JAPAN) | changes)
