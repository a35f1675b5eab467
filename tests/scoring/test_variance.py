"""The decomposition of a score's variance, and the reading of several draws."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cultureclip.errors import ConfigurationError, SourceDataError
from cultureclip.scoring.draws import VARIANCE, decompose_scores, find_draws, tabulate_variance
from cultureclip.scoring.variance import decompose
from tests.support.predictions import label

CLUSTERS = np.repeat(np.arange(40), 2)


def drawn(data: float, seed: float, concept: float, draws: int = 6, seeds: int = 4) -> np.ndarray:
    rng = np.random.default_rng(0)
    effects = data * rng.normal(size=(draws, 1, 1)) + seed * rng.normal(size=(draws, seeds, 1))
    return 0.01 + effects + concept * rng.normal(size=40)[CLUSTERS]


def test_components_are_those_of_the_textbook() -> None:
    """One-way analysis of variance by hand over the trainings' means, the jackknife over concepts."""
    values = drawn(0.05, 0.02, 0.1)
    found = decompose(values, CLUSTERS, is_difference=True)
    means = values.mean(2)
    within = means.var(axis=1, ddof=1).mean()
    assert found.seed.value == pytest.approx(within)
    assert found.data.value == pytest.approx(means.mean(1).var(ddof=1) - within / 4)
    by_concept = values.mean((0, 1)).reshape(40, 2).mean(1)
    assert found.questions.value == pytest.approx(by_concept.var(ddof=1) / 40)
    for part in (found.data, found.seed, found.questions):
        assert 0 <= part.low <= part.value <= part.high


def test_without_a_chance_of_the_data_its_variance_may_be_zero_and_the_mean_is_as_sure_as_over_questions() -> None:
    found = decompose(drawn(0.0, 0.001, 0.2), CLUSTERS, is_difference=True)
    assert found.data.low == 0
    assert found.mean.high - found.mean.low == pytest.approx(
        found.questions_only.high - found.questions_only.low, rel=0.1
    )


def test_a_chance_of_the_data_widens_the_interval_that_questions_alone_give() -> None:
    found = decompose(drawn(0.1, 0.01, 0.05), CLUSTERS, is_difference=True)
    assert found.mean.high - found.mean.low > 2 * (found.questions_only.high - found.questions_only.low)
    assert found.data.low > found.seed.high


def test_scores_stay_within_0_and_1_where_all_answers_are_right() -> None:
    found = decompose(np.ones((3, 2, 80)), CLUSTERS, is_difference=False)
    assert (found.mean.value, found.mean.high) == (1, 1)
    assert 0.8 < found.mean.low < 1
    assert found.seed.high == 0


@pytest.mark.parametrize("shape", [(1, 3, 80), (3, 1, 80)])
def test_one_draw_or_one_seed_says_nothing_of_variances(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="two of each"):
        decompose(np.zeros(shape), CLUSTERS, is_difference=False)


def write_draw(
    folder: Path, number: int | None, seeds: tuple[int, ...] = (1, 2), items: int = 40, prefix: str = "accuracy"
) -> Path:
    """Write what an evaluation leaves, as a run of this draw would."""
    rng = np.random.default_rng(number or 0)
    models = ["base", *(f"{name}_s{seed}" for name in ("clip_both", "cultureclip") for seed in seeds)]
    rows = [
        (
            "crope",
            model,
            f"{prefix}:{item}",
            f"c{item // 2}",
            "test",
            float((item % 5 < 3) if model == "base" else rng.random() < 0.7),
        )
        for model in models
        for item in range(items)
    ]
    table = label(pd.DataFrame(rows, columns=["benchmark", "model", "item_id", "cluster", "part", "correct"]))
    run = {"parameters": {"captioning": {} if number is None else {"draw": number}}}
    run["settings"] = {"plain_objective": "clip_both"}
    output = folder / "07_model_output"
    for name in ("predictions.parquet", "evaluation_run.json"):
        (output / name / "2026").mkdir(parents=True)
    table.assign(culture="Mali", category="Symbol").to_parquet(output / "predictions.parquet/2026/predictions.parquet")
    (output / "evaluation_run.json/2026/evaluation_run.json").write_text(json.dumps(run), encoding="utf-8")
    return folder


def test_draws_are_read_and_every_score_and_difference_is_decomposed(tmp_path: Path) -> None:
    write_draw(tmp_path / "data", None)
    for number in (1, 2):
        write_draw(tmp_path / f"draws/{number}", number)
    (tmp_path / "draws/3").mkdir()  # has not ended
    draws = find_draws([str(tmp_path / "data"), str(tmp_path / "draws/*")])
    assert [draw.number for draw in draws] == [0, 1, 2]
    table = decompose_scores(draws)
    VARIANCE.validate(table)
    rows = table.set_index(["model", table["reference"].fillna("")])
    assert set(rows.index) == {
        *((model, other) for model in ("clip_both", "cultureclip") for other in ("", "base")),
        ("cultureclip", "clip_both"),
    }
    credit = [d.predictions[d.predictions["objective"] == "cultureclip"]["correct"].mean() for d in draws]
    assert rows.loc[("cultureclip", ""), "value"].item() == pytest.approx(np.mean(credit))
    assert rows["draws"].eq(3).all()
    assert "cultureclip - clip_both" in tabulate_variance(table)["figure"].tolist()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"number": 0}, "draw 0 is in"),
        ({"number": 1, "seeds": (1, 3)}, "other trainings"),
        ({"number": 1, "items": 38}, "its questions of crope"),
        ({"number": 1, "prefix": "group"}, "its questions of crope"),
    ],
)
def test_draws_that_cannot_be_compared_are_refused(tmp_path: Path, other: dict[str, object], message: str) -> None:
    write_draw(tmp_path / "a", 0)
    write_draw(tmp_path / "b", **other)
    with pytest.raises(SourceDataError, match=message):
        decompose_scores(find_draws([str(tmp_path / "*")]))


def test_one_draw_one_seed_and_no_folder_are_refused(tmp_path: Path) -> None:
    write_draw(tmp_path / "a", 0, seeds=(1,))
    with pytest.raises(SourceDataError, match="a variance needs two"):
        find_draws([str(tmp_path / "*")])
    write_draw(tmp_path / "b", 1, seeds=(1,))
    with pytest.raises(SourceDataError, match="fewer than two seeds"):
        decompose_scores(find_draws([str(tmp_path / "*")]))
    with pytest.raises(ConfigurationError, match="no folder matches"):
        find_draws([str(tmp_path / "none/*")])


def test_a_damaged_description_of_a_run_is_named(tmp_path: Path) -> None:
    write_draw(tmp_path / "a", 0)
    file = tmp_path / "a/07_model_output/evaluation_run.json/2026/evaluation_run.json"
    file.write_text("{", encoding="utf-8")
    with pytest.raises(SourceDataError, match="not what an evaluation writes"):
        find_draws([str(tmp_path / "a")])
