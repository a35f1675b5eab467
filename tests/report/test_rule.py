"""One rule: every page is about the model that it picks on dev questions, and says the rule with its limit."""

import dataclasses
import re

import pandas as pd
import pytest

from cultureclip.errors import MissingInputError
from cultureclip.pipelines.reporting.nodes import _check_abilities, _check_groups
from cultureclip.report.data import ReportData
from cultureclip.report.pages import render_pages
from cultureclip.report.rule import compare_parts, pick_headlines
from cultureclip.report.views.score_view import build_blocks, mean_recalls
from cultureclip.scoring.models import ModelName
from cultureclip.scoring.scores import plan_scores
from tests.report.test_pages import Page
from tests.support.report_data import SCALED, SETTINGS, change, make_data

PICKED = "cultureclip@0.50"


@pytest.fixture(scope="module")
def data() -> ReportData:
    return make_data(pairs=4, models=SCALED)


@pytest.fixture(scope="module")
def pages(data: ReportData) -> dict[str, Page]:
    return {file: Page(html) for file, html in render_pages(data, SETTINGS).items()}


def share(value: float) -> str:
    return f"{100 * value:.1f}"


def test_every_page_states_the_rule_with_its_limit_and_its_pick(pages: dict[str, Page], data: ReportData) -> None:
    rule = pick_headlines(data.answers.abilities, SETTINGS).rule
    assert "0.5 and all, this share" in rule
    assert "at most 5 points" in rule
    assert rule.startswith("The rule picks 0.5 of CultureCLIP's update")
    assert rule.count(". ") == 0  # one sentence
    for page in pages.values():
        assert page.line.count(rule) == 1


def test_every_figure_of_the_headline_is_that_of_the_picked_model(pages: dict[str, Page], data: ReportData) -> None:
    answers = data.answers
    rows = answers.scores[(answers.scores["part"] == "test") & (answers.scores["benchmark"] == "crope")]
    value = rows.query(f"model == '{PICKED}' and reference == 'base' and metric == 'accuracy'")["value"].iloc[0]
    whole = rows.query("model == 'cultureclip' and reference == 'base' and metric == 'accuracy'")["value"].iloc[0]
    assert share(value) != share(whole)
    tile = re.search(r"CROPE .*?([\d.]+) % CultureCLIP at 0.5, accuracy", pages["index.html"].line)
    assert tile
    assert tile[1] == share(value)
    assert f"CultureCLIP, all of its update 2 seeds, {share(whole)[:1]}" in pages["scores.html"].line
    groups = answers.group_scores.query(f"model == '{PICKED}' and part == 'test' and axis == 'culture'")
    assert len(groups) == 3
    for row in groups.to_dict("records"):
        assert re.search(rf"{row['group']}.* {share(row['value'])} ", pages["cultures.html"].line)
    fixed = answers.confusions.query(f"model == '{PICKED}' and part == 'test' and kind == 'fixed'")
    assert f"{len(fixed)} fixed" in pages["confusions.html"].line
    assert "CultureCLIP at 0.5" in pages["confusions.html"].line


def test_where_the_rule_rejects_every_share_pages_show_all_of_the_update_and_say_so(data: ReportData) -> None:
    rejected = change(data, abilities=data.answers.abilities.assign(chosen=False))
    for page in (Page(html) for html in render_pages(rejected, SETTINGS).values()):
        assert "The rule picks nothing: on dev questions 0.5 and all of CultureCLIP's update lose more" in page.line
        assert "which the rule rejects" in page.line
        assert "CultureCLIP at 0.5 is" not in page.line


def test_without_dev_questions_the_rule_says_so(data: ReportData) -> None:
    abilities = data.answers.abilities
    rule = pick_headlines(abilities[abilities["part"] == "test"].assign(chosen=False), SETTINGS).rule
    assert rule.startswith("There were no dev questions")
    assert pick_headlines(abilities.iloc[:0], SETTINGS).rule == ""


def test_a_headline_is_compared_with_the_headline_of_plain_tuning() -> None:
    names = [f"{o}_s1{s}" for o in ("clip_both", "cultureclip") for s in ("", "@0.25", "@0.50")]
    headlines = [ModelName("clip_both"), ModelName("cultureclip", scale=0.5)]
    plan = {str(m.name): m for m in plan_scores(map(ModelName.parse, ["base", *names]), "clip_both", headlines)}
    assert list(map(str, plan[PICKED].references)) == ["base", "clip_both@0.50", "clip_both"]
    assert list(map(str, plan["cultureclip"].references)) == ["base", "clip_both"]
    assert list(map(str, plan["clip_both"].references)) == ["base"]


def test_abilities_are_shown_on_both_parts_with_the_limit(data: ReportData) -> None:
    lines = compare_parts(data.answers.abilities, PICKED, SETTINGS.max_general_loss)
    assert [line.limit for line in lines] == [None, 5.0]  # R@5 is the only general metric: nothing counts first place
    rows = data.answers.abilities.set_index(["part", "model"])
    for part in ("dev", "test"):
        shown = getattr(lines[1], part)
        assert shown.value == rows.loc[(part, PICKED), "general"]
        assert shown.base == pytest.approx(rows.loc[(part, "base"), "general"])
        assert shown.change == pytest.approx(100 * rows.loc[(part, PICKED), "general_change"])


def test_the_mean_of_the_recalls_stands_beside_the_first(data: ReportData) -> None:
    old = data.answers.scores
    recall = old[old["benchmark"] == "general-retrieval"]
    more = [recall.assign(metric=f"image-to-text R@{k}", value=recall["value"] / k, mcnemar_n=1) for k in (1, 2, 5, 10)]
    more += [recall.assign(metric="text-to-image R@1")]
    scores = pd.concat([old[old["benchmark"] != "general-retrieval"], *more])
    blocks = build_blocks(scores, data.answers.cards, part="test", plain="clip_both", proposed=PICKED)
    means = mean_recalls(blocks)
    assert set(means) == {"general-retrieval"}
    mean = means["general-retrieval"]
    assert mean.label == "mean of R@1, R@2, R@5, R@10"
    value = recall.query(f"model == '{PICKED}' and part == 'test'")["value"].iloc[0]
    assert mean.values[PICKED] == pytest.approx(value * (1 + 1 / 2 + 1 / 5 + 1 / 10) / 4)
    page = Page(render_pages(change(data, scores=scores), SETTINGS)["index.html"])
    assert f"Mean of R@1, R@2, R@5, R@10: {share(mean.values[PICKED])} %" in page.line


def test_scores_of_an_earlier_version_are_named_and_no_page_is_left_out(data: ReportData) -> None:
    _check_groups(data.answers, SETTINGS)
    groups = data.answers.group_scores
    old = dataclasses.replace(data.answers, group_scores=groups[groups["model"] != PICKED])
    with pytest.raises(MissingInputError, match=r"group_scores: it has no scores of cultureclip@0.50.*evaluation"):
        _check_groups(old, SETTINGS)
    _check_groups(dataclasses.replace(data.answers, group_scores=groups.iloc[:0]), SETTINGS)  # nothing has a culture


@pytest.mark.parametrize("limit", [0.02, 0.005])
def test_the_limit_is_the_one_of_the_evaluation(data: ReportData, limit: float) -> None:
    settings = dataclasses.replace(SETTINGS, max_general_loss=limit)
    assert f"at most {100 * limit:g} points" in pick_headlines(data.answers.abilities, settings).rule


def test_abilities_of_an_earlier_version_are_named(data: ReportData) -> None:
    _check_abilities(data.answers.abilities)
    with pytest.raises(MissingInputError, match="no column front_probability"):
        _check_abilities(data.answers.abilities.drop(columns="front_probability"))
