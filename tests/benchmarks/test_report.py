"""The page: what it must show, what it must never let through, and what it does about what is missing."""

import dataclasses
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cultureclip.benchmarks.charts import draw_losses, nice_ticks
from cultureclip.benchmarks.gallery import GalleryTables, choose_twins
from cultureclip.benchmarks.pocket import culture_benchmarks, read_references
from cultureclip.benchmarks.report import ReportData, ReportSettings, describe_run, render_report
from cultureclip.benchmarks.scores import score_predictions
from cultureclip.benchmarks.stages import count_stages
from cultureclip.ids import digest
from tests.benchmarks.conftest import make_concepts, make_twins
from tests.benchmarks.test_scores import HASHES, make_predictions

SETTINGS = ReportSettings("clip_both", "cultureclip", 10)
HOSTILE = '<script>alert("x")</script>"\'><img src=x onerror=y>&amp;\x00\u202e{{ 7 * 7 }}'


class Images:
    def __init__(self, ids: list[str]) -> None:
        self.ids = ids

    def read(self, ids: list[str]) -> list[Image.Image]:
        assert set(ids) <= set(self.ids)
        return [Image.new("RGB", (16, 16), (int(i[:2], 16), 90, 90)) for i in ids]


def make_data(name: str = "flag of ML", text: str = "a green, gold and red flag") -> ReportData:
    concepts = make_concepts([(name, "ML", "flag", "emoji:🇲🇱"), ("flag of GN", "GN", "flag", "emoji:🇬🇳")])
    twins = make_twins(concepts, [(name, "flag of GN", "")])
    captions, requests, judgements = [], [], []
    for concept in concepts["concept_id"]:
        for i, verdict in enumerate(("accepted", "rejected", "failed")):
            caption = digest(concept, i)
            captions.append(
                {
                    "caption_id": caption,
                    "twin_id": twins["twin_id"][0],
                    "concept_id": concept,
                    "text": None if verdict == "failed" else f"{text} {i}",
                    "verdict": verdict,
                    "reason": None if verdict == "accepted" else "too_long",
                }
            )
            if verdict == "accepted":
                for k in range(3):
                    image = digest(caption, k)
                    requests.append({"image_id": image, "caption_id": caption, "k": k})
                    kept = k < 2
                    judgements.append(
                        {
                            "image_id": image,
                            "verdict": "accepted" if kept else "rejected",
                            "reason": None if kept else "twin_scores_higher",
                        }
                    )
    pictures = read_references(concepts, 24)
    predictions = make_predictions()
    cards = [b.card() for b in culture_benchmarks(concepts, twins, pictures)]
    cards.append(cards[-1] | {"name": "general-retrieval", "title": "General retrieval", "chance": None})
    return ReportData(
        scores=score_predictions(predictions, HASHES, "clip_both", resamples=300, seed=0),
        predictions=predictions,
        cards=cards,
        leak_check={
            "training_images": 6,
            "general_pairs": 5,
            "training_rows": 3,
            "held_out_images": 2,
            "near_distance": None,
            "leaks": 0,
        },
        tables=GalleryTables(
            concepts,
            twins,
            pd.DataFrame(captions),
            pd.DataFrame(requests),
            pd.DataFrame(judgements),
            pd.DataFrame({"twin_id": twins["twin_id"]}),
        ),
        images=Images([r["image_id"] for r in requests]),
        pictures=pictures,
        metrics={
            "mining": {"stages": [{"stage": "twin pairs", "in": 90, "kept": 1, "rejected": {"same_culture": 89}}]},
            "filtering": {"in": 6, "kept": 4, "rejected": {"twin_scores_higher": 2}, "judge_top1": 0.8125},
        },
        training={
            "cultureclip_s1": {
                "data": {"train_rows": 7, "dev_rows": 0},
                "base": {},
                "chosen": {"step": 20, "dev_accuracy": 0.75},
            }
        },
        logs={"cultureclip_s1": [{"step": 0, "dev_loss": 1.0}, {"step": 1, "loss": 2.0}, {"step": 9, "loss": 0.5}]},
        manifest={"run_id": "run-7", "git": {"commit": "abc", "dirty": False}, "parameters": {"a": {"b": [1]}}},
    )


class Page(HTMLParser):
    """Collects tags, attributes and text, and checks that elements nest."""

    VOID = frozenset({"meta", "link", "img", "br", "line", "circle", "polyline"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
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


@pytest.fixture(scope="module")
def data() -> ReportData:
    return make_data()


@pytest.fixture(scope="module")
def page(data: ReportData) -> Page:
    return Page(render_report(data, SETTINGS))


def test_the_page_shows_scores_counts_twins_and_the_run(page: Page, data: ReportData) -> None:
    text = " ".join(page.text.split())
    row = data.scores.query(
        "model == 'cultureclip' and benchmark == 'crope' and part == 'test' and reference == 'base'"
    )
    assert f"{100 * row['value'].iloc[0]:.1f}" in text
    for expected in ("CROPE", "Plain contrastive tuning", "twin pairs", "same culture 89", "flag of GN", "Guinea"):
        assert expected in text
    for expected in ("a green, gold and red flag 0", "2 kept, 1 refused", "run-7", "commit abc", "CC BY-SA 4.0"):
        assert expected in text
    assert "2 refused captions" in text


def test_the_page_loads_nothing(page: Page) -> None:
    for tag, attributes in page.tags:
        assert tag not in {"script", "iframe", "object", "embed"}
        for name in ("src", "srcset", "poster", "data"):
            assert (attributes.get(name) or "data:").startswith("data:")
        if tag == "link":
            assert attributes["href"] == "data:,"
        assert not [name for name in attributes if name.startswith("on")]
    images = [a for tag, a in page.tags if tag == "img"]
    assert len(images) == 8  # two held out, four kept, two refused
    assert all(a["alt"] for a in images)


def test_tables_are_readable_by_ear(page: Page) -> None:
    counts = {tag: sum(t == tag for t, _ in page.tags) for tag in ("table", "caption")}
    assert counts["table"] == counts["caption"] >= 4
    assert all(a.get("scope") for tag, a in page.tags if tag == "th")
    assert all(a.get("aria-label") for tag, a in page.tags if tag == "svg")


def test_hostile_text_stays_text() -> None:
    data = make_data(name=HOSTILE, text=HOSTILE)
    data.tables.judgements["reason"] = HOSTILE
    data.tables.concepts.at[0, "key_visual_features"] = [HOSTILE]
    data = dataclasses.replace(
        data,
        metrics={HOSTILE: {"in": 1, "kept": 0, "rejected": {HOSTILE: 1}, HOSTILE: HOSTILE}},
        manifest={HOSTILE: HOSTILE, "deep": {"a": [{HOSTILE: HOSTILE}]}},
        cards=[card | {"title": HOSTILE, "question": HOSTILE, "left_out": {HOSTILE: 1}} for card in data.cards],
        logs={HOSTILE: [{"step": 1, "loss": 1.0}]},
    )
    html = render_report(data, SETTINGS)
    page = Page(html)
    assert not [tag for tag, _ in page.tags if tag == "script"]
    assert not [a for _, a in page.tags if "onerror" in a]
    assert "\x00" not in html
    assert "\u202e" not in html
    assert "{{ 7 * 7 }}" in page.text
    assert '<script>alert("x")</script>' in page.text


def test_endless_names_are_cut() -> None:
    assert len(render_report(make_data(name="n" * 100_000), SETTINGS)) < 100_000


def test_what_is_missing_is_said(data: ReportData) -> None:
    gone = data.images.ids[0]
    blind = dataclasses.replace(
        data, images=Images([i for i in data.images.ids if i != gone]), pictures={}, logs={"cultureclip_s1": []}
    )
    page = Page(render_report(blind, SETTINGS))
    assert sum("missing" in (a.get("class") or "") for tag, a in page.tags if tag == "span") == 3
    assert "No loss was logged" in page.text


def test_an_unmeasured_benchmark_is_not_passed_over(data: ReportData) -> None:
    cards = [data.cards[0] | {"texts": 0, "items": 0, "left_out": {"region has fewer than four concepts": 2}}]
    page = Page(render_report(dataclasses.replace(data, cards=cards), SETTINGS))
    assert "Not measured: no question could be asked." in page.text


def test_only_the_base_can_be_shown(data: ReportData) -> None:
    predictions = make_predictions(["base"])
    scores = score_predictions(predictions, HASHES, "clip_both", resamples=300, seed=0)
    bare = dataclasses.replace(data, predictions=predictions, scores=scores, logs={}, training={})
    assert "CultureCLIP was not trained" in Page(render_report(bare, SETTINGS)).text


def test_gallery_takes_turns_and_keeps_room_for_fallen_twins() -> None:
    names = [(f"flag {i}", f"flag of {i}") for i in range(30)] + [(f"dish {i}", f"food {i}") for i in range(5)]
    rows = [(n, "JP", n.split()[0] if n.startswith("flag") else "dish", "") for pair in names for n in pair]
    concepts = make_concepts(rows)
    twins = make_twins(concepts, [(a, b, "") for a, b in names])
    kept = twins["twin_id"].iloc[::2]
    empty = pd.DataFrame()
    chosen = choose_twins(
        GalleryTables(concepts, twins, empty, empty, empty, pd.DataFrame({"twin_id": kept})), limit=12
    )
    assert len(chosen) == 12
    assert (~chosen["twin_id"].isin(kept)).sum() == 2
    universal = concepts.set_index("concept_id")["universal"]
    assert (chosen["a_concept_id"].map(universal) == "dish").sum() >= 3


def test_the_loss_curve_is_where_the_numbers_are() -> None:
    log = [{"step": s, "loss": v} for s, v in ((0, 2.0), (5, 1.0), (10, float("nan")), (10, 0.0))]
    chart = draw_losses("t", {"seed 1": log}, (100, 50))
    points = np.array([[float(v) for v in p.split(",")] for p in chart.lines[0].points.split()])
    np.testing.assert_allclose(points, [[0, 0], [50, 25], [100, 50]], atol=0.1)
    assert chart.lines[0].last == 0.0


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
    assert facts == [("seeds", "1, 2"), ("git", "commit a")]
    assert [label for label, _ in details] == ["deep"]
    assert re.search(r'"y": 1', details[0][1])
