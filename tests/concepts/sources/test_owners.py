"""The owners' schemas, in small files of our own with the traps that the owners' files have."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

import cultureclip
from cultureclip.concepts.gather import Gathered
from cultureclip.concepts.sources.kinds import KINDS, KindFinder
from cultureclip.errors import SourceDataError
from cultureclip.tables import CATEGORIES, CONCEPT_SOURCES, CONCEPTS
from tests.concepts.sources.support import dropped, gather


def write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def to_csv(*rows: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def facts(gathered: Gathered, *columns: str) -> list[list[Any]]:
    CONCEPTS.validate(gathered.concepts)
    CONCEPT_SOURCES.validate(gathered.sources)
    return gathered.concepts[list(columns)].to_numpy().tolist()


def test_dosa_takes_the_state_from_the_folder_and_the_category_from_the_words(tmp_path: Path) -> None:
    write(
        tmp_path / "tamil_nadu/original_artifacts.csv", '\ufeffclues,artifact\n"A sweet dish.\nVery hot",pongal\n,x\n'
    )
    write(
        tmp_path / "assam/expanded_artifacts.csv", "artifact,clues\r\nbihu dance,of the spring festival\r\na/b,dish\r\n"
    )
    write(tmp_path / "assam/clue1_bihu.txt", "not read")
    gathered = gather({"kind": "dosa", "path": str(tmp_path)})
    assert facts(gathered, "name", "cultures", "category", "universal", "context") == [
        ["bihu dance", ["IN"], "Art", "dance", "Known in Assam, India. of the spring festival"],
        ["pongal", ["IN"], "Cuisine", "sweet", "Known in Tamil Nadu, India. A sweet dish. Very hot"],
    ]
    assert dropped(gathered) == {"name has characters that no name may have": 1, "category is not mapped": 1}
    assert gathered.sources["place"].iloc[0] == "assam/expanded_artifacts.csv line 2"


def test_worldcuisines_reads_lists_in_both_spellings_and_global_is_generic(tmp_path: Path) -> None:
    header = ["Name", "Alias", "Coarse-grained categories", "Countries", "Text Description", "Image1 License"]
    header += ["Image1 name / URL", "Fine-grained categories"]
    kept = ["CC-BY-SA 4.0", "https://upload.example/a.jpg", ""]
    rows = [
        [
            "Rawon",
            "[{'ꦫꦮꦺꦴꦤ꧀': 'Javanese'}, {'rawon\u200e': 'x'}]",
            '["soup", "stew"]',
            '["Indonesia"]',
            "A soup.",
            *kept,
        ],
        ["Bibimbap", '[{"no_alias": true}]', '["rice"]', '["Korea"]', "", *kept],
        ["Jollof", "[{'no_alias': []}]", "['rice']", "['Ghana', 'Nigeria']", "", *kept],
        ["Pizza", "[]", "['bread']", '["Global", "Italy"]', "", *kept],
        ["Broken", "[]", "['bread'", '["Italy"]', "", *kept],
        ["Evil", "[]", "['bread']", "__import__('os').system('true')", "", *kept],
    ]
    path = write(tmp_path / "final_data.csv", to_csv(header, *rows))
    gathered = gather({"kind": "worldcuisines", "path": str(path)})
    assert facts(gathered, "name", "cultures", "universal", "aliases") == [
        ["Rawon", ["ID"], "soup", ["ꦫꦮꦺꦴꦤ꧀", "rawon"]],
        ["Jollof", ["GH", "NG"], "rice", []],
    ]
    assert gathered.sources[["picture_url", "picture_licence"]].iloc[0].to_list() == [kept[1], kept[0]]
    assert dropped(gathered) == {"malformed row": 2, "no culture: a name of several countries": 1, "generic": 1}
    told = gather({"kind": "worldcuisines", "path": str(path), "countries": {"Korea": ["KP", "KR"]}})
    assert ["Bibimbap", ["KP", "KR"]] in facts(told, "name", "cultures")


def test_cube_takes_nan_and_llm_for_nothing_and_a_wikidata_id_for_one_thing(tmp_path: Path) -> None:
    def entry(name: str, country: str, domain: str, known: str) -> dict[str, str]:
        return {"P31": "nan", "id": known, "name": name, "country": country, "domain": domain, "prompt": "A picture"}

    entries = [
        entry("tapioca", "Brazil", "cuisine", "LLM"),
        entry("Eiffel Tower", "France", "landmarks", "Q243"),
        entry("Mausoleum", "Turkey", "landscapes", " "),
        entry("nan", "Turkey", "art", "LLM"),
        entry("La tour Eiffel", "France", "landmarks", "Q243"),
        entry("tapioca", "Brazil", "cuisine", "LLM"),
        entry("tapioca", "nan", "cuisine", "LLM"),
        {"id": "LLM", "name": None},
        "text",
    ]
    path = write(tmp_path / "cube_1k.json", json.dumps(entries))
    gathered = gather({"kind": "cube", "path": str(tmp_path)})
    assert facts(gathered, "name", "cultures", "category", "terms", "aliases") == [
        ["tapioca", ["BR"], "Cuisine", "eval_only", []],
        ["Eiffel Tower", ["FR"], "Architecture", "eval_only", ["La tour Eiffel"]],
        ["Mausoleum", ["TR"], "Architecture", "eval_only", []],
    ]
    assert dropped(gathered) == {"malformed row": 2, "no culture": 1, "no name": 1}
    assert gathered.sources["joined_by"].to_list() == ["new", "name", "new", "wikidata", "new"]
    write(path, "{}")
    with pytest.raises(SourceDataError, match="it holds no JSON list"):
        gather({"kind": "cube", "path": str(path)})
    write(path, "[" * 100_000)
    with pytest.raises(SourceDataError, match="nested too deeply"):
        gather({"kind": "cube", "path": str(path)})


def test_cunit_has_two_header_rows_entities_doubled_spaces_and_several_countries(tmp_path: Path) -> None:
    food = to_csv(
        ["\ufefftitle", "country", "link", "user description", "user", "", "occasion description", "occasion", ""],
        ["", "", "", "", "bride", "groom", "", "wedding", "New Year"],
        ["Hoppin&#039;\u00a0 John", "America", "https://x/y", "TRUE", "FALSE", "TRUE", "", "FALSE", "TRUE"],
        ["White  Christmas (food)", "Korea", "", "", "FALSE", "FALSE", "", "FALSE", "FALSE"],
        ["short", "China"],
    )
    clothing = to_csv(
        ["\ufefftitle", "category", "country", "cultural significance description", "cultrual significance", ""],
        ["", "", "", "", "good luck", "wealth"],
        ["Guan (hat)", "clothing*", "China,Japan,Ryukyu", "", "true", "TRUE"],
    )
    write(tmp_path / "food_concepts.csv", food)
    write(tmp_path / "clothing_concepts.csv", clothing)
    gathered = gather({"kind": "cunit", "path": str(tmp_path)})
    assert facts(gathered, "name", "cultures", "category", "context", "terms") == [
        ["Guan (hat)", ["CN", "JP"], "Clothing", "Stands for: good luck, wealth.", "eval_only"],
        ["Hoppin' John", ["US"], "Cuisine", "Used by: groom. Occasion: New Year.", "eval_only"],
    ]
    assert dropped(gathered) == {"no culture: a name of several countries": 1, "malformed row": 1}
    assert gathered.report["sources"][0]["rows"] == 4
    write(tmp_path / "food_concepts.csv", to_csv(["title", "country"]))
    with pytest.raises(SourceDataError, match="no second row of headers"):
        gather({"kind": "cunit", "path": str(tmp_path / "food_concepts.csv")})


def test_marvl_takes_each_concept_once_and_never_opens_a_pickle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def line(concept: str, language="id", chapter="Animal") -> str:
        return json.dumps({"concept": concept, "language": language, "chapter": chapter, "caption": "x"})

    lines = [line("5-Burung_Kakatua"), line("5-Burung_Kakatua"), line("x"), line("6-Roh", chapter="Spirits"), "{", "[]"]
    write(tmp_path / "id/annotations/marvl-id.jsonl", "\n".join(lines) + "\n")
    write(tmp_path / "zh/annotations/marvl-zh.jsonl", line("82-铅笔", "zh", "Cognition"))
    write(tmp_path / "marvl-xx.jsonl", line("1-x"))
    (tmp_path / "synset2langs.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    monkeypatch.setattr("pickle.load", lambda *_: pytest.fail("a pickle was loaded"))
    gathered = gather({"kind": "marvl", "path": str(tmp_path)})
    assert facts(gathered, "name", "cultures", "category", "terms") == [
        ["Burung Kakatua", ["ID"], "Animals & Plants", "eval_only"],
        ["铅笔", ["CN", "TW"], "Daily Life", "eval_only"],
    ]
    assert dropped(gathered) == {"same row again": 1, "malformed row": 3, "category is not mapped": 1}
    assert gathered.sources["language"].to_list() == ["id", "zh"]


def test_characters_that_no_file_can_hold_do_not_get_into_the_tables_or_the_report(tmp_path: Path) -> None:
    rows = [
        {"concept": "1-ok", "language": "id", "chapter": "Ani\ud800mal"},
        {"concept": "2-na\ud800me", "language": "id", "chapter": "Animal"},
        {"concept": "3-x", "language": "id", "chapter": "No\ud800ne"},
        {"concept": "4-x", "language": "\ud800", "chapter": "Animal"},
    ]
    write(tmp_path / "marvl-id.jsonl", "\n".join(map(json.dumps, rows)))
    gathered = gather({"kind": "marvl", "path": str(tmp_path)})
    assert facts(gathered, "name", "universal") == [["ok", "Animal"]]
    json.dumps(gathered.report, ensure_ascii=False).encode()
    gathered.sources.to_parquet(tmp_path / "sources.parquet")


def test_cultural_ground_gives_its_country_to_things_that_another_source_names(tmp_path: Path) -> None:
    def line(known: str) -> str:
        return json.dumps({"id": known, "language": "en", "conversations": []})

    write(tmp_path / "south_korea_refined.jsonl", "\n".join(map(line, ["Q1_None", "Q2_0", "Q1_1", "none"])))
    mine = write(tmp_path / "x.csv", "name,country,id\nkimchi,CN,Q1\n")
    named: dict[str, Any] = {"kind": "csv", "title": "mine", "path": str(mine), "licence": "MIT", "terms": "train"}
    named |= {"columns": {"name": "name", "countries": "country", "wikidata": "id"}, "always": {"category": "dish"}}
    named |= {"categories": {"dish": "Cuisine"}}
    ground = {"kind": "cultural_ground", "path": str(tmp_path)}
    gathered = gather(named, ground)
    assert facts(gathered, "name", "cultures", "licence") == [["kimchi", ["CN", "KR"], "MIT AND Apache-2.0"]]
    assert dropped(gathered, 1) == {"no name": 1, "same row again": 1, "malformed row": 1}
    with pytest.raises(SourceDataError, match="source cultural_ground: not one of 4 rows is a concept"):
        gather(ground, named)


def test_kinds_are_found_as_words_and_all_categories_are_covered() -> None:
    assert set(KINDS.values()) == set(CATEGORIES)
    kinds = KindFinder(KINDS)
    assert kinds.first("is a traditional Japanese Garment and a dish") == "garment"
    assert kinds.first("two dishes") == "dish"
    assert kinds.first("it is a board game of two") == "board game"
    assert kinds.first("a chat about capitals") == kinds.last("") == ""
    assert kinds.last("bangda fish curry") == "curry"


@pytest.mark.parametrize("folder", ["concepts", "captions", "judging", "report"])
def test_code_of_all_concepts_names_no_kind_of_pocket(folder: str) -> None:
    files = [path for path in (Path(cultureclip.__file__).parent / folder).rglob("*") if path.suffix in (".py", ".csv")]
    assert files
    named = [str(path) for path in files if re.search("flag|emoji", path.read_text(encoding="utf-8"), re.IGNORECASE)]
    assert named == []
