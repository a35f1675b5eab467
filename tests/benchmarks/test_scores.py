"""The table of scores: means over seeds, pairing, parts."""

import numpy as np
import pandas as pd
import pytest

from cultureclip.benchmarks.scores import plan_scores, score_predictions
from cultureclip.errors import SourceDataError
from cultureclip.tables import SCORES

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
    return frame.assign(options=[["a", "b"]] * len(frame), scores=[[0.1, 0.2]] * len(frame), predicted=0)


HASHES = {"crope": "x", "general-retrieval": "y"}


def score(predictions: pd.DataFrame) -> pd.DataFrame:
    return score_predictions(predictions, HASHES, "clip_both", resamples=300, seed=0)


def test_rows_equal_what_a_loop_gives() -> None:
    predictions = make_predictions()
    scores = score(predictions)
    SCORES.validate(scores)
    chosen = predictions[(predictions["benchmark"] == "crope") & (predictions["part"] == "test")]
    value = {model: group.set_index("item_id")["correct"] for model, group in chosen.groupby("model")}
    ours = sum(value[f"cultureclip_s{s}"] for s in (1, 2, 3)) / 3
    plain = sum(value[f"clip_both_s{s}"] for s in (1, 2, 3)) / 3
    rows = scores[(scores["benchmark"] == "crope") & (scores["part"] == "test")].set_index(["model", "reference"])
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
    plan = plan_scores(["base", "cultureclip_s1"], "clip_both")
    assert [(m.name, m.references) for m in plan] == [
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
