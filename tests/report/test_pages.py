"""The pages: what they must show, what they must never let through, and what they do about what is missing."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from cultureclip.report.charts import draw_losses, nice_ticks
from cultureclip.report.data import ReportData
from cultureclip.report.pages import render_pages
from cultureclip.report.views.confusions_view import find_pictures, split_shared
from cultureclip.report.views.forgetting_view import build_forgetting
from cultureclip.report.views.run_view import describe_run
from cultureclip.report.views.stages import count_stages
from cultureclip.report.views.trade_off import draw_trade_off
from cultureclip.scoring.models import ModelName
from tests.support.report_data import HOSTILE, SETTINGS, change, make_data


class Page(HTMLParser):
    """Collects tags, attributes and text, and checks that elements nest."""

    VOID = frozenset({"meta", "link", "img", "br", "line", "circle", "polyline", "rect", "input"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.parts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        self.parts += data.split()

    @property
    def line(self) -> str:
        """All words, with one space between."""
        return " ".join(self.parts)


def render(data: ReportData) -> dict[str, Page]:
    return {file: Page(html) for file, html in render_pages(data, SETTINGS).items()}


@pytest.fixture(scope="module")
def data() -> ReportData:
    return make_data(pairs=4)


@pytest.fixture(scope="module")
def pages(data: ReportData) -> dict[str, Page]:
    return render(data)


def test_every_page_links_to_every_other_and_to_nothing_else(pages: dict[str, Page]) -> None:
    for file, page in pages.items():
        links = [a for tag, a in page.tags if tag == "a" and a["href"] != "#main"]
        assert {str(a["href"]).partition("#")[0] for a in links} == set(pages)
        for target, _, place in (str(a["href"]).partition("#") for a in links):
            assert not place or place in {a.get("id") for _, a in pages[target].tags}
        assert [a["href"] for a in links if a.get("aria-current") == "page"] == [file]


def test_name_bias_stands_beside_the_base(pages: dict[str, Page], data: ReportData) -> None:
    rows = data.answers.name_bias.query("part == 'test' and tuned_on == 'wrong only'").set_index("model")
    expected = [f"{100 * rows.loc[model, 'value']:.1f}" for model in ("base", "clip_both", "cultureclip")]
    text = pages["scores.html"].line
    line = text[text.index("wrong ones only") :].split()
    assert line[3] == str(rows.loc["base", "n"])
    assert [word for word in line if word in expected][:3] == expected


def test_figures_are_those_of_the_tables(pages: dict[str, Page], data: ReportData) -> None:
    row = data.answers.scores.query(
        "model == 'cultureclip' and benchmark == 'crope' and part == 'test' and reference == 'base'"
    )
    for file in ("index.html", "scores.html"):
        assert f"{100 * row['value'].iloc[0]:.1f}" in pages[file].line
    groups = data.answers.group_scores.query("model == 'cultureclip' and part == 'test' and axis == 'culture'")
    assert {"Mali", "Guinea", "Japan"} == set(groups["group"])
    for group, value in zip(groups["group"], groups["value"], strict=True):
        assert re.search(rf"{group}.* {100 * value:.1f} ", pages["cultures.html"].line)
    fixed = data.answers.confusions.query("model == 'cultureclip' and part == 'test' and kind == 'fixed'")
    assert f"{len(fixed)} fixed" in pages["confusions.html"].line
    for expected in ("Twin pairs", "same culture 89"):
        assert expected in pages["data.html"].line
    assert "Plain contrastive tuning" in pages["abilities.html"].line
    assert "4 of 4 pairs" in pages["gallery.html"].line
    assert "run-7" in pages["run.html"].line


def test_the_summary_follows_the_intervals(pages: dict[str, Page], data: ReportData) -> None:
    rows = data.answers.scores.query("model == 'cultureclip' and part == 'test' and reference == 'base'").set_index(
        "benchmark"
    )
    first = rows[rows["metric"] == "accuracy"].loc["crope"]
    clear = first["diff_low"] > 0
    assert ("CultureCLIP is clearly above the base on 1 of 1 culture benchmark" in pages["index.html"].line) == clear
    held = int(first["p_holm"] < 0.05)
    assert f"p stays below .05 on {held} of 1 against the base" in pages["index.html"].line


def test_the_summary_says_what_a_correction_leaves(data: ReportData) -> None:
    """A difference that is clear by itself and no longer for all benchmarks is not only called clear."""
    for p_holm, kept in ((0.01, 1), (0.2, 0)):
        line = render(change(data, scores=data.answers.scores.assign(p_holm=p_holm)))["index.html"].line
        assert f"p stays below .05 on {kept} of 1 against the base" in line


def test_confusions_are_of_the_main_metric_alone(data: ReportData) -> None:
    again = data.answers.predictions.assign(
        item_id=data.answers.predictions["item_id"].str.replace("accuracy", "accuracy_all")
    )
    more = change(
        data,
        predictions=pd.concat([data.answers.predictions, again[again["benchmark"] == "crope"]]),
        confusions=pd.concat([data.answers.confusions, data.answers.confusions.assign(metric="accuracy_all")]),
    )
    assert render(more)["confusions.html"].line == render(data)["confusions.html"].line


def test_evaluation_keeps_the_pictures_that_the_page_shows_and_no_others(data: ReportData) -> None:
    answers = data.answers
    kept = find_pictures(answers.confusions, answers.predictions, answers.cards)
    page = render_pages(change(data, thumbnails={key: answers.thumbnails[key] for key in kept}), SETTINGS)
    assert page["confusions.html"] == render_pages(data, SETTINGS)["confusions.html"]
    for key in kept:
        fewer = {other: webp for other, webp in answers.thumbnails.items() if other != key}
        assert "no picture" in render(change(data, thumbnails=fewer))["confusions.html"].line


def test_what_is_not_known_is_a_dash_that_can_be_heard(data: ReportData) -> None:
    page = render(change(data, confusions=data.answers.confusions.assign(model_margin=np.nan)))["confusions.html"]
    assert "→ – not known" in page.line
    assert "+nan" not in page.line


def test_what_benchmarks_ask_is_said_by_their_cards_alone(data: ReportData) -> None:
    cards = [card | dict.fromkeys(("title", "question", "source"), "of its owner") for card in data.answers.cards]
    pages = render(change(data, cards=cards))
    for said in ("retrieval", "general things", "families", "paper", "real pictures"):
        assert said not in pages["index.html"].line + pages["scores.html"].line


def test_pages_load_only_their_own_folder(pages: dict[str, Page]) -> None:
    for page in pages.values():
        policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        for tag, attributes in page.tags:
            assert tag not in {"iframe", "object", "embed", "style"}
            assert "style" not in attributes  # the policy would drop it
            assert not [name for name in attributes if name.startswith("on")]
            address = attributes.get("src") or (attributes["href"] if tag == "link" else "")
            assert re.match(r"(static|gallery)/[\w.-]+$|data:|$", address)


def test_tables_and_pictures_are_readable_by_ear(pages: dict[str, Page]) -> None:
    for page in pages.values():
        counts = {tag: sum(t == tag for t, _ in page.tags) for tag in ("table", "caption", "h1", "main", "nav")}
        assert counts["table"] == counts["caption"]
        assert counts["h1"] == counts["main"] == 1
        assert counts["nav"] >= 1
        assert all(a.get("scope") for tag, a in page.tags if tag == "th")
        assert all(a.get("aria-label") or a.get("aria-hidden") for tag, a in page.tags if tag == "svg")
        assert all(a["alt"] for tag, a in page.tags if tag == "img")


def test_hostile_text_stays_text() -> None:
    data = make_data(name=HOSTILE, text=HOSTILE, pairs=4)
    data = change(
        data,
        group_scores=data.answers.group_scores.replace("Mali", HOSTILE),
        metrics={HOSTILE: {"in": 1, "kept": 0, "rejected": {HOSTILE: 1}, HOSTILE: HOSTILE}},
        run={HOSTILE: HOSTILE, "deep": {"a": [{HOSTILE: HOSTILE}]}},
        cards=[card | {"title": HOSTILE, "question": HOSTILE, "left_out": {HOSTILE: 1}} for card in data.answers.cards],
        logs={ModelName(HOSTILE): [{"step": 1, "loss": 1.0}]},
        training={HOSTILE: data.stages.training["cultureclip_s1"]},
    )
    for file, html in render_pages(data, SETTINGS).items():
        page = Page(html)
        assert not [a for _, a in page.tags if "onerror" in a]
        assert all(a.get("src") for tag, a in page.tags if tag == "script")
        assert "\x00" not in html
        assert "\u202e" not in html
        if file not in {"index.html", "gallery.html", "abilities.html"}:
            assert "{{ 7 * 7 }}" in page.text
            assert '<script>alert("x")</script>' in page.text


def test_endless_names_are_cut() -> None:
    pages = render_pages(make_data(name="n" * 100_000, pairs=2), SETTINGS)
    assert max(map(len, pages.values())) < 200_000


def test_pages_about_nothing_are_left_out(data: ReportData) -> None:
    bare = change(
        data,
        group_scores=data.answers.group_scores[:0],
        confusions=data.answers.confusions[:0],
        abilities=data.answers.abilities[:0],
    )
    pages = render(bare)
    assert not {"cultures.html", "confusions.html", "abilities.html"} & set(pages)
    assert "cultures.html" not in str(pages["index.html"].tags)


def test_what_is_missing_is_said(data: ReportData) -> None:
    cards = [data.answers.cards[0] | {"texts": 0, "items": 0, "left_out": {"region has fewer than four concepts": 2}}]
    cards += [data.answers.cards[1] | {"items": 0, "status": "absent", "looked_for": "data/01_raw/x/*.parquet"}]
    pages = render(change(data, cards=cards, logs={ModelName("cultureclip", 1): []}))
    assert "Not measured: absent. Looked for data/01_raw/x/*.parquet" in pages["scores.html"].line
    assert "Not measured: no question could be asked." in pages["scores.html"].line
    assert "No loss was logged" in pages["training.html"].line
    assert "no picture" in render(change(data, thumbnails={}))["confusions.html"].line


def test_only_the_base_can_be_shown() -> None:
    bare = change(make_data(models=("base",)), logs={}, training={})
    assert "In short CultureCLIP was not trained. " in render(bare)["index.html"].line


def test_the_loss_curve_is_where_the_numbers_are() -> None:
    log = [{"step": s, "loss": v} for s, v in ((0, 2.0), (5, 1.0), (10, float("nan")), (10, 0.0))]
    chart = draw_losses("t", {"seed 1": log}, (100, 50))
    points = np.array([[float(v) for v in p.split(",")] for p in chart.lines[0].points.split()])
    np.testing.assert_allclose(points, [[0, 0], [50, 25], [100, 50]], atol=0.1)
    assert chart.lines[0].last == 0.0


def test_the_trade_off_is_where_the_numbers_are(data: ReportData) -> None:
    rows = data.answers.abilities[data.answers.abilities["part"] == "test"].reset_index(drop=True)
    chart = draw_trade_off(rows, (100, 100))
    x0, x1 = (float(chart.x_ticks[i][1]) for i in (0, -1))
    y0, y1 = (float(chart.y_ticks[i][1]) for i in (0, -1))
    for point, row in zip(chart.points, rows.to_dict("records"), strict=True):
        assert point.x == pytest.approx(100 * (100 * row["general_change"] - x0) / (x1 - x0), abs=0.06)
        assert point.y == pytest.approx(100 - 100 * (100 * row["culture_change"] - y0) / (y1 - y0), abs=0.06)
        assert point.x_low <= point.x <= point.x_high
        assert point.y_high <= point.y <= point.y_low
        assert point.optimal == round(100 * row["front_probability"])


def test_what_was_forgotten_is_the_difference_to_the_base_metric_by_metric(data: ReportData) -> None:
    scores, general = data.answers.scores, ["crope"]
    (block,) = build_forgetting(scores, data.answers.group_scores, data.answers.cards, general, ["clip_both", "nobody"])
    rows = scores[(scores["benchmark"] == "crope") & (scores["part"] == "test") & (scores["model"] == "clip_both")]
    expected = rows[(rows["reference"] == "base") & (rows["metric"] == "accuracy")].iloc[0]
    first = block.lines[0]
    assert (first.label, first.n, first.is_category) == ("accuracy", expected["n"], False)
    change, absent = first.changes
    assert absent is None
    assert (change.change, change.low, change.high) == pytest.approx(
        tuple(100 * expected[name] for name in ("difference", "diff_low", "diff_high"))
    )
    categories = [line for line in block.lines if line.is_category]
    assert block.categories == len(categories) == 2
    assert categories[0].changes[0].change <= categories[1].changes[0].change
    assert not any("mean over" in line.label for line in block.lines)
    assert build_forgetting(scores, data.answers.group_scores, data.answers.cards, ["no"], ["clip_both"]) == []


@pytest.mark.parametrize(
    ("first", "second", "parts"),
    [
        ("a flag of Mali", "a flag of Guinea", ("a flag of", "Mali", "Guinea")),
        ("same", "same", ("", "same", "same")),
        ("a b", "a b c", ("a", "b", "b c")),
        ("", "x", ("", "", "x")),
    ],
)
def test_shared_words_are_split_off(first: str, second: str, parts: tuple[str, str, str]) -> None:
    assert split_shared(first, second) == parts


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.13, 0.14), (2, 2), (0, 0), (-3, 1234), (1e-9, 3e-9)])
def test_ticks_cover_the_range(low: float, high: float) -> None:
    ticks = nice_ticks(low, high, 4)
    assert ticks[0] <= low + 1e-9
    assert ticks[-1] >= high - 1e-9
    assert 2 <= len(ticks) <= 8


def test_stages_without_counts_have_no_line() -> None:
    lines = count_stages({"a": {"in": 3, "kept": 1, "rejected": {"x": 1, "y": 1}}, "b": {"seconds": 3}, "c": {}})
    assert [(line.stage, line.entered, line.kept, line.refused) for line in lines] == [("a", 3, 1, 2)]


def test_a_manifest_is_split_into_lines_and_details() -> None:
    facts, details = describe_run({"seeds": [1, 2], "git": {"commit": "a"}, "none": None, "deep": {"x": {"y": 1}}})
    assert facts == [("seeds", "1, 2"), ("code", "commit a")]
    assert [label for label, _ in details] == ["deep"]
    assert re.search(r'"y": 1', details[0][1])
