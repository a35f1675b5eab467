"""The table of scores: means over seeds, pairing, parts."""

import numpy as np
import pandas as pd
import pytest

from cultureclip.errors import SourceDataError
from cultureclip.report.views.score_view import build_blocks
from cultureclip.scoring.groups import find_worst
from cultureclip.scoring.metrics import order_metrics
from cultureclip.scoring.models import ModelName
from cultureclip.scoring.scores import plan_scores, score_all_groups, score_predictions
from cultureclip.scoring.significance import correct_holm
from cultureclip.tables import GROUP_SCORES, PREDICTIONS, SCORES
from tests.support.predictions import label, scoring

MODELS = ["base", *(f"{o}_s{s}" for o in ("clip_both", "cultureclip") for s in (1, 2, 3))]


def make_predictions(models: list[str] = MODELS, items: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for model in models:
        for metric, benchmark in (("accuracy", "crope"), ("image-to-text R@5", "general-retrieval")):
            for i in range(items):
                right = rng.random() < (0.5 if model == "base" else 0.6)
                rows.append(
                    (benchmark, model, f"{metric}:{i}", f"c{i // 2}", "dev" if i < 20 else "test", float(right))
                )
    frame = pd.DataFrame(rows, columns=["benchmark", "model", "item_id", "cluster", "part", "correct"])
    number = frame["cluster"].str[1:].astype(int)
    return label(frame).assign(
        options=[["a", "b"]] * len(frame),
        scores=[[0.2, 0.1] if right else [0.1, 0.2] for right in frame["correct"]],
        predicted=1 - frame["correct"].astype(int),
        image="i" + number.astype(str),
        culture=[["Mali", "Chad", "Guinea", "Japan"][min(i % 7, 3)] for i in number],
        category=["Symbol" if i % 2 else "Cuisine" for i in number],
    )


HASHES = {"crope": "x", "general-retrieval": "y"}


def score(predictions: pd.DataFrame) -> pd.DataFrame:
    return score_predictions(predictions, HASHES, scoring())


def test_rows_equal_what_a_loop_gives() -> None:
    predictions = make_predictions()
    scores = score(predictions)
    SCORES.validate(scores)
    chosen = predictions[(predictions["benchmark"] == "crope") & (predictions["part"] == "test")]
    value = {model: group.set_index("item_id")["correct"] for model, group in chosen.groupby("model")}
    ours = sum(value[f"cultureclip_s{s}"] for s in (1, 2, 3)) / 3
    plain = sum(value[f"clip_both_s{s}"] for s in (1, 2, 3)) / 3
    rows = scores[(scores["benchmark"] == "crope") & (scores["metric"] == "accuracy") & (scores["part"] == "test")]
    rows = rows.set_index(["model", "reference"])
    assert rows.loc[("cultureclip", "base"), "value"] == pytest.approx(ours.mean())
    assert rows.loc[("cultureclip", "base"), "difference"] == pytest.approx((ours - value["base"]).mean())
    assert rows.loc[("cultureclip", "clip_both"), "difference"] == pytest.approx((ours - plain).mean())
    paired = value["cultureclip_s2"] - value["clip_both_s2"]
    assert rows.loc[("cultureclip_s2", "clip_both_s2"), "difference"] == pytest.approx(paired.mean())
    assert list(rows.loc[("cultureclip", "base"), "seeds"]) == [1, 2, 3]
    assert rows.loc[("cultureclip", "base"), "n"] == 40
    base = scores[(scores["model"] == "base") & (scores["part"] == "test")]
    assert base["difference"].isna().all()
    assert base["reference"].isna().all()


def test_the_table_survives_parquet(tmp_path) -> None:
    scores = score(make_predictions())
    scores.to_parquet(tmp_path / "s.parquet")
    SCORES.validate(pd.read_parquet(tmp_path / "s.parquet"))


def test_order_of_rows_does_not_matter() -> None:
    predictions = make_predictions()
    shuffled = predictions.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(score(predictions), score(shuffled))


def test_plan_without_plain_tuning_compares_with_the_base_only() -> None:
    plan = plan_scores(map(ModelName.parse, ["base", "cultureclip_s1"]), "clip_both")
    assert [(str(m.name), tuple(map(str, m.references))) for m in plan] == [
        ("base", ()),
        ("cultureclip", ("base",)),
        ("cultureclip_s1", ("base",)),
    ]


def test_models_that_answered_other_items_are_refused() -> None:
    predictions = make_predictions()
    gone = (predictions["model"] == "cultureclip_s2") & (predictions["item_id"] == "accuracy:30")
    with pytest.raises(SourceDataError, match="cultureclip_s2 lacks 1"):
        score(predictions[~gone])


def test_without_the_base_there_is_nothing_to_compare_with() -> None:
    with pytest.raises(SourceDataError, match="base model has none"):
        score(make_predictions(["cultureclip_s1"]))


def test_predictions_made_for_tests_are_valid() -> None:
    PREDICTIONS.validate(make_predictions())


def texts(names: tuple[ModelName, ...]) -> tuple[str, ...]:
    return tuple(map(str, names))


def test_scaled_models_have_means_and_are_compared_at_their_scale() -> None:
    names = [f"{o}_s{s}@0.50" for o in ("clip_both", "cultureclip") for s in (1, 2)]
    models = map(ModelName.parse, ["base", "clip_both_s1", "siglip", *names])
    plan = {str(model.name): model for model in plan_scores(models, "clip_both")}
    assert texts(plan["cultureclip@0.50"].members) == ("cultureclip_s1@0.50", "cultureclip_s2@0.50")
    assert texts(plan["cultureclip@0.50"].references) == ("base", "clip_both@0.50")
    assert texts(plan["cultureclip_s1@0.50"].references) == ("base", "clip_both_s1@0.50")
    assert texts(plan["clip_both@0.50"].references) == ("base",)
    assert texts(plan["siglip"].references) == ("base",)
    assert [name for name, model in plan.items() if model.name.is_whole_mean] == ["base", "siglip", "clip_both"]


def test_macro_averages_are_means_of_the_groups_means() -> None:
    predictions = make_predictions()
    scores = score(predictions)
    asked = predictions[(predictions["benchmark"] == "crope") & (predictions["part"] == "test")]
    ours = asked[asked["model"].str.startswith("cultureclip")]
    for axis, plural in (("culture", "cultures"), ("category", "categories")):
        row = scores[
            (scores["metric"] == f"accuracy, mean over {plural}")
            & (scores["model"] == "cultureclip")
            & (scores["part"] == "test")
            & (scores["reference"] == "base")
        ].iloc[0]
        expected = ours.groupby(axis)["correct"].mean().mean()
        assert row["value"] == pytest.approx(expected)
        base = asked[asked["model"] == "base"].groupby(axis)["correct"].mean().mean()
        assert row["difference"] == pytest.approx(expected - base)
        assert np.isnan(row["mcnemar_p"])


def test_spread_over_seeds_is_that_of_their_own_rows() -> None:
    scores = score(make_predictions())
    rows = scores[(scores["benchmark"] == "crope") & (scores["metric"] == "accuracy") & (scores["part"] == "test")]
    values = rows[rows["model"].str.startswith("cultureclip_s")].drop_duplicates("model")["value"]
    mean = rows[rows["model"] == "cultureclip"].iloc[0]
    assert mean["seed_std"] == pytest.approx(values.std())
    assert (mean["seed_low"], mean["seed_high"]) == (values.min(), values.max())
    assert mean["value"] == pytest.approx(values.mean())
    assert rows[rows["model"] == "cultureclip_s1"]["seed_std"].isna().all()


def test_holm_corrects_over_all_metrics_of_one_model_and_reference() -> None:
    scores = score(make_predictions())
    family = scores[(scores["model"] == "cultureclip") & (scores["reference"] == "base") & (scores["part"] == "test")]
    assert len(family) == 6  # two benchmarks, each with two macro averages
    assert family["p_holm"].to_numpy() == pytest.approx(correct_holm(family["p_value"].to_numpy()))
    assert (family["p_holm"] >= family["p_value"]).all()


def test_the_base_alone_is_scored() -> None:
    scores = score(make_predictions(["base"]))
    SCORES.validate(scores)
    assert scores["p_holm"].isna().all()


def test_groups_are_scored_ranked_and_too_small_ones_are_not() -> None:
    predictions = make_predictions()
    groups = score_all_groups(predictions, "clip_both")
    GROUP_SCORES.validate(groups)
    assert set(groups["model"]) == {"base", "clip_both", "cultureclip"}
    rows = groups[
        (groups["benchmark"] == "crope")
        & (groups["model"] == "cultureclip")
        & (groups["part"] == "test")
        & (groups["axis"] == "culture")
    ]
    asked = predictions[(predictions["benchmark"] == "crope") & (predictions["part"] == "test")]
    ours = asked[asked["model"].str.startswith("cultureclip")].groupby("culture")["correct"]
    assert rows.set_index("group")["value"].to_dict() == pytest.approx(ours.mean().to_dict())
    assert (rows.set_index("group")["n"] * 3).to_dict() == ours.size().to_dict()
    assert rows[rows["n"] < 10]["rank"].isna().all()
    ranked = rows[rows["n"] >= 10].sort_values("rank")
    assert ranked["value"].is_monotonic_increasing
    assert len(ranked) < len(rows)
    worst = find_worst(rows, "culture")
    assert worst is None if len(ranked) < 2 else worst.value == ranked["value"].min()


def test_items_without_culture_and_category_give_no_groups() -> None:
    groups = score_all_groups(make_predictions().assign(culture="", category=""), "clip_both")
    GROUP_SCORES.validate(groups)
    assert groups.empty


def test_a_worst_group_says_how_many_were_compared() -> None:
    rows = pd.DataFrame(
        {
            "axis": "culture",
            "group": ["Mali", "Chad", "Tuvalu"],
            "value": [0.5, 0.4, 0.0],
            "ci_low": 0.1,
            "ci_high": 0.9,
            "n": [20, 20, 2],
            "rank": pd.array([2, 1, None], "Int64"),
        }
    )
    worst = find_worst(rows, "culture")
    assert worst is not None
    assert (worst.group, worst.value, worst.ranked, worst.unranked) == ("Chad", 0.4, 2, 1)
    assert find_worst(rows, "category") is None


def test_every_metric_is_shown_the_main_one_first() -> None:
    scores = score(make_predictions())
    cards = [{"name": name, "title": name, "question": "?", "chances": {"accuracy": 0.5}} for name in HASHES]
    blocks = build_blocks(scores, cards, part="test", plain="clip_both", proposed="cultureclip")
    assert [(b.benchmark, b.metric, b.is_macro) for b in blocks[:3]] == [
        ("crope", "accuracy", False),
        ("crope", "accuracy, mean over cultures", True),
        ("crope", "accuracy, mean over categories", True),
    ]
    assert len(blocks) == 6
    assert [line.model for line in blocks[0].models] == ["base", "clip_both", "cultureclip"]
    assert order_metrics(["zeta", "top-1", "accuracy_all", "accuracy"]) == ["accuracy", "top-1", "accuracy_all", "zeta"]


@pytest.mark.parametrize(
    ("metrics", "main"),
    [
        ({"accuracy", "accuracy_all"}, "accuracy"),
        ({"text", "image", "group"}, "group"),
        ({"knowledge", "scene", "recognition"}, "recognition"),
        ({"ERR@5", *(f"{figure}@{k}" for figure in ("P", "nDCG") for k in (1, 3, 5))}, "nDCG@5"),
        ({"top-5", "top-1"}, "top-1"),
        ({f"{way} R@{k}" for way in ("text-to-image", "image-to-text") for k in (1, 5, 10)}, "image-to-text R@1"),
    ],
)
def test_the_main_metric_of_each_protocol(metrics: set[str], main: str) -> None:
    assert order_metrics(metrics)[0] == main
