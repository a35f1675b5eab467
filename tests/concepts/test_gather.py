"""Rows of several sources that name one thing: merged by stated rules, with every source kept on record."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from cultureclip.concepts.atlas import read_concepts
from cultureclip.concepts.clusters import Clusters
from cultureclip.concepts.gather import Gathered, gather_concepts
from cultureclip.concepts.settings import MergeSettings
from cultureclip.concepts.sources.found import Found, Row
from cultureclip.concepts.sources.source import Material, Source
from cultureclip.concepts.sources.tally import Tally
from cultureclip.reading.csv_table import read_csv_table
from tests.concepts.sources.support import ATLAS, MERGING, check_counts, gather


class Said(Source):
    """A source of rows that a test gives."""

    given: tuple[Any, ...]

    def rows(self, tally: Tally, material: Material) -> Iterator[Row]:
        for row in self.given:
            tally.rows += 1
            yield row


def row(name: str, cultures: str, **changes: Any) -> Row:
    own = {key: changes.pop(key) for key in [*changes] if key in Row.__slots__}
    said = {"place": "x line 1", "countries": (), "category": "food", "ref": name} | changes
    kept = {"category": "Cuisine", "source": "x", "licence": "MIT", "terms": "train"} | own
    return Row(found=Found(name=name, **said), cultures=tuple(cultures.split()), **kept)


def merge(*sources: list[Row], settings: MergeSettings = MERGING) -> Gathered:
    given = [Said(kind=f"s{number}", given=tuple(rows)) for number, rows in enumerate(sources)]
    gathered = gather_concepts(given, Material(""), settings)
    check_counts(gathered)
    return gathered


def names(gathered: Gathered) -> list[tuple[str, str]]:
    return [(c["name"], " ".join(c["cultures"])) for c in gathered.concepts.to_dict("records")]


def test_the_atlas_alone_gives_the_concepts_that_it_gave_before_there_were_sources() -> None:
    before = read_concepts(read_csv_table(ATLAS.read_text(encoding="utf-8")))
    pd.testing.assert_frame_equal(gather({"kind": "atlas"}).concepts, before)
    pd.testing.assert_frame_equal(gather({"kind": "atlas", "path": str(ATLAS)}).concepts, before)


@pytest.mark.parametrize(
    ("first", "second", "rule"),
    [
        (row("kimchi", "KR", wikidata="Q1"), row("gimchi food", "JP", wikidata="Q1", category="Art"), "wikidata"),
        (row("Kimchi", "KR"), row("kimchí", "JP"), "name"),
        (row("kimono", "JP", category="Clothing"), row("Kimono", "JP", category="Art"), "name"),
        (row("サクラモチ", "JP"), row("Sakuramochi", "JP"), "name"),
        (row("saree", "IN BD", aliases=("sari cloth",)), row("Sari Cloth", "IN"), "alias"),
        (row("Sari Cloth", "IN"), row("saree", "IN BD", aliases=("sari cloth",)), "alias"),
        (row("khao phat kung", "TH"), row("khao phad kung", "TH"), "similar"),
        (row("si", "CN"), row("Sì", "CN"), "name"),
        (row("Pantheon", "IT", category="Architecture"), row("Pantheon", "IT FR", category="Architecture"), "name"),
        (row("Golden Temple", "IN", wikidata="Q1"), row("Golden Temple", "IN"), "name"),
    ],
)
def test_one_thing_is_recognised(first: Row, second: Row, rule: str) -> None:
    gathered = merge([first], [second])
    assert len(gathered.concepts) == 1
    assert gathered.sources["joined_by"].to_list() == ["new", rule]
    assert gathered.concepts["cultures"].iloc[0] == sorted({*first.cultures, *second.cultures})
    assert gathered.concepts["name"].iloc[0] == first.found.name


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (row("kimono", "JP", category="Clothing"), row("kimono", "KR", category="Art")),
        (row("khao phat kung", "TH"), row("khao phad kung", "LA")),
        (row("khao phat kung", "TH"), row("khao phad kung", "TH", category="Art")),
        (row("style no 11", "TH"), row("style no 12", "TH")),
        (row("Pantheon", "IT", category="Architecture"), row("Panthéon", "FR", category="Architecture")),
        (row("Golden Temple", "IN", wikidata="Q1"), row("Golden Temple", "IN", wikidata="Q2")),
        (row("saree", "IN", aliases=("sari cloth",)), row("Sari Cloth", "BD")),
        (row("司", "JP"), row("si", "JP")),
        (row("hanbok", "KR"), row("hanfu", "KR")),
    ],
)
def test_two_things_stay_two(first: Row, second: Row) -> None:
    assert len(merge([first], [second]).concepts) == 2


def test_an_owner_tells_near_names_apart_and_a_curated_source_also_equal_ones() -> None:
    near = [row("khao phat kung", "TH"), row("khao phad kung", "TH")]
    assert len(merge(near).concepts) == 2
    clusters = Clusters(MERGING)
    same = row("gomoku", "JP", curated=True)
    assert [clusters.add(same, 0), clusters.add(same, 0), clusters.add(same, 1)] == ["new", "new", "name"]


def test_one_concept_from_five_sources_keeps_what_each_said() -> None:
    rows = [
        row("Baklava", "TR", source="a", terms="train", licence="CC0-1.0", context="", wikidata="Q1"),
        row("baklava", "GR", source="b", licence="CC-BY-SA-4.0", context="A sweet.", features=("layers",)),
        row("Baklavah", "TR", source="c", terms="no_redistribute", aliases=("Baklava sweet",)),
        row("BAKLAVA", "AM", source="d", terms="eval_only", licence="MIT OR Apache-2.0"),
        row("", "BG", source="e", wikidata="Q1", problem="no name", category=""),
    ]
    gathered = merge(*([one] for one in rows))
    (concept,) = gathered.concepts.to_dict("records")
    assert concept["cultures"] == ["AM", "BG", "GR", "TR"]
    assert (concept["name"], concept["context"], concept["key_visual_features"]) == ("Baklava", "A sweet.", ["layers"])
    assert concept["aliases"] == ["Baklavah", "Baklava sweet"]
    assert (concept["source"], concept["terms"]) == ("a | b | c | d | e", "eval_only")
    assert concept["licence"] == "CC0-1.0 AND CC-BY-SA-4.0 AND MIT AND (MIT OR Apache-2.0)"
    assert gathered.sources["terms"].to_list() == ["train", "train", "no_redistribute", "eval_only", "train"]
    assert gathered.report["terms_at_odds"]["concepts"] == gathered.report["of_several_sources"] == 1
    assert gathered.report["of_several_cultures"] == 1


def test_what_is_everywhere_or_called_by_its_kind_is_generic_and_counted() -> None:
    stew = row("stew", "AR BR CL CO EC")
    rows = [stew, row("Soup", "KR", universal="soup"), row("kimchi", "KR", universal="pickle")]
    settings = MERGING.model_copy(update={"generic_from": 6})
    assert names(merge(rows, settings=settings)) == [("stew", "AR BR CL CO EC"), ("kimchi", "KR")]
    gathered = merge(rows, [row("stew", "PE"), row("ceviche", "PE")], settings=settings)
    assert names(gathered) == [("kimchi", "KR"), ("ceviche", "PE")]
    assert [source["dropped"] for source in gathered.report["sources"]] == [{"generic": 2}, {"generic": 1}]
    strict = MERGING.model_copy(update={"generic_from": 2})
    assert len(merge([replace(stew, curated=True)], settings=strict).concepts) == 1


def test_a_row_that_comes_again_is_counted_once() -> None:
    gathered = merge([row("kimchi", "KR"), row("kimchi", "KR"), row("kimchi", "KR", ref="elsewhere")])
    assert gathered.report["sources"][0]["dropped"] == {"same row again": 1}
    assert len(gathered.sources) == 2
