"""No page writes a name as the code spells it, and each says what it counts."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest

from cultureclip.report.data import ReportData
from cultureclip.report.page import count_columns
from cultureclip.report.pages import render_pages
from cultureclip.report.views.name_bias_view import build_name_bias
from cultureclip.report.views.run_view import describe_run, describe_start
from cultureclip.report.views.score_view import ScoreBlock, build_blocks
from cultureclip.report.views.summary import FEW, say_name_bias, warn_of_few
from cultureclip.report.words import in_words, mid_sentence, model_title, sentence_case, value_in_words
from cultureclip.scoring.groups import MIN_GROUP
from cultureclip.tables import NAME_GROUPS
from tests.support.report_data import SCALED, SETTINGS, change, make_data

MANIFEST: dict[str, Any] = {
    "run_id": "2026-11-27T07.02.43.342Z",
    "started": "2026-11-27T07:02:45+00:00",
    "pipelines": ["__default__"],
    "env": None,
    "process": 4321,
    "git": {"commit": "0123456789abcdef", "dirty": True},
    "machine": {"cpu": "x", "cores": 2},
    "load_versions": {"twins": "2026"},
    "status": "running",
    "error": None,
    "updated": "2026-11-27T07:05:00+00:00",
    "answers": 214775,
}


class Text(HTMLParser):
    """What a reader reads and hears: text and labels, without code that is quoted as such."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.headings: list[str] = []
        self.code = 0
        self.heading = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.code += tag in {"code", "pre", "script"}
        self.heading = tag == "h2" or self.heading
        self.headings += [""] if tag == "h2" else []
        self.words += [value for name, value in attrs if name in {"aria-label", "alt", "title"} and value]

    def handle_endtag(self, tag: str) -> None:
        self.code -= tag in {"code", "pre", "script"}
        self.heading = self.heading and tag != "h2"

    def handle_data(self, data: str) -> None:
        if self.heading:
            self.headings[-1] += data
        if not self.code:
            self.words.append(data)


@pytest.fixture(scope="module")
def data() -> ReportData:
    """Two metrics of a benchmark, reasons with underscores, a manifest as a run leaves it."""
    data = make_data(pairs=4, models=SCALED)
    answers = data.answers
    again = {"metric": "accuracy_all"}
    return change(
        data,
        scores=pd.concat([answers.scores, answers.scores[answers.scores["benchmark"] == "crope"].assign(**again)]),
        group_scores=pd.concat([answers.group_scores, answers.group_scores.assign(**again)]),
        metrics={
            **data.stages.metrics,
            "captioning": {"in": 3, "kept": 1, "rejected": {"too_long": 2}, "tries_left": 0},
        },
        training={"clip_both_s1": data.stages.training["cultureclip_s1"]},
        run=MANIFEST,
    )


def test_no_page_shows_a_raw_name(data: ReportData) -> None:
    for file, html in render_pages(data, SETTINGS).items():
        text = " ".join(Text(html).words)
        assert not re.findall(r"\S*\w_\w\S*|\S*__\S*", text), file
        assert not re.findall(r"\b(?:None|True|False|nan|running)\b", text.replace("None.", "")), file
    assert "accuracy with all options" in " ".join(Text(render_pages(data, SETTINGS)["scores.html"]).words)
    assert "Plain contrastive tuning, seed 1" in render_pages(data, SETTINGS)["training.html"]


def test_no_two_sections_of_a_page_have_one_heading(data: ReportData) -> None:
    for file, html in render_pages(data, SETTINGS).items():
        headings = Text(html).headings
        assert len(headings) == len(set(headings)), (file, headings)
    headings = Text(render_pages(data, SETTINGS)["cultures.html"]).headings
    assert "CROPE, cultures" in headings
    assert "CROPE, cultures: accuracy with all options" in headings


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("clip_both_s1", "Plain contrastive tuning, seed 1"),
        ("cultureclip_s2@0.50", "CultureCLIP, seed 2 at 0.5"),
        ("base", "Base CLIP"),
        ("accuracy_all, mean over cultures", "accuracy with all options, mean over cultures"),
        ("image-to-text R@1", "image-to-text R@1"),
        ("too_long", "too long"),
        ("__default__", "all stages"),
    ],
)
def test_names_in_words(name: str, words: str) -> None:
    assert in_words(name) == words


def test_titles_keep_their_capitals() -> None:
    assert sentence_case("image-to-text R@1") == "Image-to-text R@1"
    assert mid_sentence(model_title("clip_both")) == "plain contrastive tuning"
    assert mid_sentence(model_title("clip_concept")) == "CLIP on concepts"
    assert model_title("my_model_s3") == "my model, seed 3"
    assert [value_in_words(value) for value in (True, False, None, 4649)] == ["yes", "no", "", "4,649"]


def test_a_report_says_nothing_of_a_run_that_it_cannot_know() -> None:
    """It is written before the run ends: neither a status nor the time of the last node is true for long."""
    facts, details = describe_run(MANIFEST)
    assert not {"status", "error", "updated", "process", "env", "environment"} & dict(facts).keys()
    assert not details
    assert dict(facts)["code"] == "commit 0123456789abcdef, uncommitted changes yes"
    assert dict(facts)["pipelines"] == "all stages"
    assert describe_start(MANIFEST) == [
        ("run", "2026-11-27T07.02.43.342Z"),
        ("started", "2026-11-27 07:02 UTC"),
        ("code", "commit 0123456789ab with changes that were not committed"),
    ]
    assert describe_start({}) == []


@pytest.mark.parametrize("cards", range(1, 60))
def test_no_card_stands_alone_in_the_last_row(cards: int) -> None:
    columns = count_columns(cards)
    assert 1 <= columns <= 4
    if cards > 1 and cards % 12 != 1:  # 13, 25, ... leave one over in rows of four and of three
        assert cards % columns != 1 or columns == 1


def test_tiles_are_coloured_by_clarity(data: ReportData) -> None:
    rows = data.answers.group_scores
    rows = rows.assign(diff_low=rows["difference"] - 0.3, diff_high=rows["difference"] + 0.3)
    ranked = rows["rank"].notna() & (rows["group"] == "Mali")
    rows.loc[ranked, ["difference", "diff_low", "diff_high"]] = 0.01, 0.005, 0.015
    html = render_pages(change(data, group_scores=rows), SETTINGS)["cultures.html"]
    found = {group: verdict for verdict, group in re.findall(r'<li class="(\w+)"><bdi>(\w+)', html)}
    assert found["Mali"] == "above"  # a small difference that is clear
    assert set(found.values()) - {"above"} == {"unclear"}  # larger ones that are not


def test_a_small_run_is_warned_of(data: ReportData) -> None:
    blocks = _culture(data)
    enough = [_with_clusters(block, FEW) for block in blocks]
    few = [_with_clusters(block, FEW - 1) for block in blocks]
    assert warn_of_few(enough, FEW) == []
    assert "CROPE (80 in 29 clusters)" in warn_of_few(few, FEW)[0]
    assert "3 twins" in warn_of_few(enough, 3)[0]
    overview = " ".join(Text(render_pages(data, SETTINGS)["index.html"]).words)
    assert "A small run." in overview
    assert "2 twins: read this run as a trial" in overview


def _culture(data: ReportData) -> list[ScoreBlock]:
    blocks = build_blocks(
        data.answers.scores, data.answers.cards, part="test", plain="clip_both", proposed="cultureclip"
    )
    return [block for block in blocks if block.benchmark == "crope" and block.metric == "accuracy"]


def _with_clusters(block: ScoreBlock, clusters: int) -> ScoreBlock:
    return replace(block, clusters=clusters)


def test_the_gallery_counts_pairs_of_pictures(data: ReportData) -> None:
    text = " ".join(Text(render_pages(data, SETTINGS)["gallery.html"]).words)
    assert "4 of 4 pairs of pictures" in text


@pytest.mark.parametrize("present", [NAME_GROUPS, ("right only",), ("both",), ("neither",), ()])
def test_name_bias_is_shown_for_any_run(data: ReportData, present: tuple[str, ...]) -> None:
    """Mixed, both tuned, none tuned, or no names at all: the section and its anchor are always there."""
    rows = data.answers.name_bias
    pages = render_pages(change(data, name_bias=rows[rows["tuned_on"].isin(present)]), SETTINGS)
    assert 'id="names"' in pages["scores.html"]
    assert 'href="scores.html#names"' in pages["index.html"]
    said = " ".join(Text(pages["scores.html"]).words)
    seen = set(rows.query("part == 'test'")["tuned_on"]).intersection(present)
    for group, label in zip(
        NAME_GROUPS, ("the right one only", "wrong ones only", "the right one and wrong ones", "none"), strict=True
    ):
        assert (f"{label} " in said.partition("Accuracy by which names")[2].partition("Tests")[0]) == (group in seen)
    assert ("Not measured: no benchmark" in said) == (not seen)


def test_the_overview_says_the_two_figures_of_name_bias(data: ReportData) -> None:
    rows = data.answers.name_bias
    mixed = pd.concat(
        [
            rows[rows["tuned_on"] == "wrong only"].assign(tuned_on="right only", value=0.25, n=40),
            rows[rows["tuned_on"] == "wrong only"].assign(value=0.75),
        ]
    )
    blocks = build_name_bias(mixed, data.answers.cards, ["base", "cultureclip"])
    said = say_name_bias(blocks, "cultureclip")
    assert said
    assert "from 25.0 to 25.0 % right where the training had seen the right name alone (n 40)" in said
    assert "from 75.0 to 75.0 % where it had seen only a wrong one" in said
    few = build_name_bias(mixed.assign(n=MIN_GROUP - 1), data.answers.cards, ["base", "cultureclip"])
    assert say_name_bias(few, "cultureclip") is None
    assert say_name_bias(build_name_bias(rows.iloc[:0], data.answers.cards, ["base"]), "cultureclip") is None
