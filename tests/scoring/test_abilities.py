"""Culture against general ability: scores by hand, the front, and the choice on dev."""

import numpy as np
import pandas as pd
import pytest

from cultureclip.report.views.trade_off import draw_abilities
from cultureclip.scoring.abilities import compare_abilities, headline_model
from cultureclip.scoring.metrics import counts_first_place
from cultureclip.scoring.models import ModelName
from cultureclip.tables import ABILITIES
from tests.support.predictions import label, scoring


def make(right: dict[str, tuple[int, int]], parts: tuple[str, ...] = ("dev", "test"), items: int = 10) -> pd.DataFrame:
    """Predictions of models with so many of ten culture and general items right; a second metric nobody gets right."""
    rows = []
    for model, counts in right.items():
        for part in parts:
            for benchmark, metric, count in (
                ("crope", "accuracy", counts[0]),
                ("crope", "accuracy_all", 0),
                ("grounding", "accuracy", counts[0]),
                ("general-retrieval", "image-to-text R@1", counts[1]),
            ):
                rows += [
                    (benchmark, model, f"{metric}:{part}{i}", f"{part}{i}", part, float(i < count))
                    for i in range(items)
                ]
    frame = pd.DataFrame(rows, columns=["benchmark", "model", "item_id", "cluster", "part", "correct"])
    return label(frame).assign(culture="", category="")


def compare(right: dict[str, tuple[int, int]], limit: float = 0.1, **kwargs) -> pd.DataFrame:
    table = compare_abilities(make(right, **kwargs), scoring(max_general_loss=limit))
    ABILITIES.validate(table)
    return table


def test_scores_are_means_over_benchmarks_main_metrics_and_over_seeds() -> None:
    table = compare({"base": (5, 8), "ours_s1": (7, 8), "ours_s2": (9, 6)}).set_index(["part", "model"])
    row = table.loc[("test", "ours")]
    assert (row["culture"], row["general"]) == pytest.approx((0.8, 0.7))
    assert (row["culture_change"], row["general_change"]) == pytest.approx((0.3, -0.1))
    assert row["culture_change_low"] < 0.3 < row["culture_change_high"]
    assert list(row["seeds"]) == [1, 2]
    assert table.loc[("test", "base"), "scale"] == 0
    assert row["scale"] == 1


def test_concepts_shared_by_benchmarks_count_once() -> None:
    one = compare({"base": (5, 8), "ours_s1": (7, 8)})
    frame = make({"base": (5, 8), "ours_s1": (7, 8)})
    alone = compare_abilities(frame[frame["benchmark"] != "grounding"], scoring(max_general_loss=0.1))
    columns = ["culture_low", "culture_high", "culture_change_low", "culture_change_high"]
    np.testing.assert_allclose(one[columns], alone[columns])


def test_the_front_holds_what_nothing_else_beats() -> None:
    table = compare({"base": (5, 9), "a_s1": (7, 8), "b_s1": (6, 8), "c_s1": (8, 4), "d_s1": (7, 8)})
    means = table[(table["part"] == "test") & table["model"].isin(["base", "a", "b", "c", "d"])]
    assert means.set_index("model")["on_front"].to_dict() == {
        "base": True,
        "a": True,
        "b": False,
        "c": True,
        "d": True,
    }


SCALES = {
    "base": (4, 9),
    "ours_s1@0.25": (5, 9),
    "ours_s1@0.50": (7, 8),
    "ours_s1@0.75": (8, 7),
    "ours_s1": (9, 5),
    "other_s1": (9, 1),
}


@pytest.mark.parametrize(("limit", "chosen"), [(0.0, "ours@0.25"), (0.1, "ours@0.50"), (0.25, "ours@0.75")])
def test_the_best_scale_within_the_loss_that_is_allowed_is_chosen(limit: float, chosen: str) -> None:
    table = compare(SCALES, limit)
    assert set(table[table["chosen"]]["model"]) == {chosen}
    assert set(table[table["chosen"]]["part"]) == {"dev", "test"}


def with_recall(right: dict[str, tuple[int, int]], at_five: dict[str, int]) -> pd.DataFrame:
    """Predictions of :func:`make`, and R@5 of as many general items."""
    frame = make(right)
    wider = frame[frame["benchmark"] == "general-retrieval"].copy()
    wider["item_id"] = wider["item_id"].str.replace("R@1:", "R@5:")
    number = wider["item_id"].str.extract(r"(\d+)$")[0].astype(int)
    wider["correct"] = (number < wider["model"].map(at_five)).astype(float)
    return pd.concat([frame, wider])


def test_a_loss_at_first_place_counts_though_the_mean_hides_it() -> None:
    """R@1 falls by 2 of 10, R@5 rises by 2 and their mean stays: half of the update, which loses 1, is chosen."""
    right = {"base": (4, 6), "ours_s1@0.50": (6, 5), "ours_s1": (8, 4)}
    frame = with_recall(right, {"base": 6, "ours_s1@0.50": 7, "ours_s1": 8})
    table = compare_abilities(frame, scoring(max_general_loss=0.1))
    ABILITIES.validate(table)
    rows = table[table["part"] == "dev"].set_index("model")
    assert rows["general_change"].to_dict() == pytest.approx(dict.fromkeys(rows.index, 0.0))
    assert rows.loc["ours", "general_first_change"] == pytest.approx(-0.2)
    assert set(table[table["chosen"]]["model"]) == {"ours@0.50"}


@pytest.mark.parametrize(("limit", "scale", "chosen"), [(0.0, 0.25, True), (0.1, 0.5, True), (1.0, 1.0, True)])
def test_the_headline_is_the_chosen_scale(limit: float, scale: float, chosen: bool) -> None:
    assert headline_model(compare(SCALES, limit), "ours") == (ModelName("ours", scale=scale), chosen)


def test_where_the_rule_refuses_every_scale_the_headline_is_the_whole_update_and_says_so() -> None:
    refused = {"base": (4, 9), "ours_s1@0.50": (7, 5), "ours_s1": (9, 2)}
    assert headline_model(compare(refused, 0.1), "ours") == (ModelName("ours"), False)
    empty = compare(refused, 0.1).iloc[:0]
    assert headline_model(empty, "ours") == (ModelName("ours"), False)


@pytest.mark.parametrize(
    ("metric", "first"),
    [
        ("image-to-text R@1", True),
        ("text-to-image R@10", False),
        ("top-1", True),
        ("top-5", False),
        ("accuracy", True),
        ("nDCG@5", False),
        ("P@1", True),
    ],
)
def test_first_place_is_told_from_the_first_few(metric: str, first: bool) -> None:
    assert counts_first_place(metric) == first


def test_nothing_is_chosen_on_the_test_part() -> None:
    assert not compare(SCALES, parts=("test",))["chosen"].any()


def test_what_counts_as_culture_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        compare_abilities(make(SCALES), scoring(general_benchmarks=("coco",), max_general_loss=0.1))
    assert "by evaluation.general_benchmarks: none" in caplog.text
    assert "count as culture: crope, general-retrieval, grounding" in caplog.text


def test_where_general_ability_was_not_measured_there_is_no_point() -> None:
    frame = make(SCALES)
    frame = frame[frame["benchmark"] != "general-retrieval"]
    table = compare_abilities(frame, scoring(max_general_loss=0.1))
    ABILITIES.validate(table)
    assert table.empty
    assert not draw_abilities(table).data


def test_the_chart_joins_scales_to_the_base_and_marks_the_choice() -> None:
    figure = draw_abilities(compare(SCALES))
    lines = {line.name: line for line in figure.data}
    assert list(lines["ours"].y) == pytest.approx([0.4, 0.5, 0.7, 0.8, 0.9])
    assert list(lines["ours"].marker.symbol) == ["circle", "circle", "star", "circle", "circle"]
    assert len(lines["other"].x) == 1
