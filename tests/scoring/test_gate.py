"""The gate: verdicts, power, and which settings and answers it refuses."""

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy.stats import ttest_1samp

from cultureclip.errors import ConfigurationError, GateError, SourceDataError
from cultureclip.pipelines.gate import create_pipeline
from cultureclip.pipelines.gate.nodes import enforce_gate
from cultureclip.pipelines.gate.parameters import GateParameters
from cultureclip.scoring.gate import GATE, GateSettings, failures, judge_checkpoint, tabulate_gate
from cultureclip.scoring.models import ModelName
from tests.support.predictions import label

SETTINGS = GateSettings(min_delta=-0.02, power_at=-0.1)


def make(right: dict[str, tuple[float, float]], concepts: int = 200, per_concept: int = 1) -> pd.DataFrame:
    """Test predictions of ``crope`` and ``twin-scores``; the figures are shares of right answers."""
    rows = [
        {
            "benchmark": benchmark,
            "model": model,
            "item_id": f"{metric}:{number:04}",
            "cluster": f"c{number // per_concept}",
            "part": "test",
            "culture": "Mali",
            "category": "Symbol",
            "correct": float((number * 0.618034) % 1 < share),
        }
        for model, shares in right.items()
        for (benchmark, metric), share in zip((("crope", "accuracy"), ("twin-scores", "group")), shares, strict=True)
        for number in range(concepts * per_concept)
    ]
    return label(pd.DataFrame(rows))


def judge(predictions: pd.DataFrame, settings: GateSettings = SETTINGS) -> pd.DataFrame:
    table = judge_checkpoint(predictions, settings, ModelName("cultureclip"), "clip_both")
    GATE.validate(table)
    return table


def test_verdicts_and_p_values_are_those_of_a_t_test_where_each_concept_has_one_question() -> None:
    predictions = make({"base": (0.8, 0.5), "cultureclip_s1": (0.5, 0.6), "cultureclip_s2": (0.6, 0.7)})
    table = judge(predictions).set_index("benchmark")
    assert table["verdict"].to_dict() == {"crope": "worse", "twin-scores": "not worse"}
    own = predictions.pivot(index=["benchmark", "item_id"], columns="model", values="correct").loc["crope"]
    change = own[["cultureclip_s1", "cultureclip_s2"]].mean(axis=1) - own["base"]
    expected = ttest_1samp(change, SETTINGS.min_delta, alternative="less").pvalue
    assert table.loc["crope", "p_worse"] == pytest.approx(2 * expected)  # Holm over two benchmarks
    assert failures(judge(predictions), SETTINGS) == ["crope accuracy worse (-25.0)"]


def test_a_difference_within_the_margin_of_few_questions_is_undecided_and_fails_only_where_that_is_asked_for() -> None:
    predictions = make({"base": (0.6, 0.6), "cultureclip_s1": (0.5, 0.6)}, concepts=20)
    table = judge(predictions)
    assert set(table["verdict"]) == {"undecided"}
    assert failures(table, SETTINGS) == []
    strict = SETTINGS.model_copy(update={"fails_on": ("worse", "undecided")})
    assert len(failures(table, strict)) == 2


def test_more_questions_catch_more() -> None:
    right = {"base": (0.6, 0.6), "cultureclip_s1": (0.55, 0.6)}
    few, many = (judge(make(right, concepts)).set_index("benchmark") for concepts in (50, 800))
    assert few.loc["crope", "power"] < many.loc["crope", "power"]
    assert few.loc["crope", "caught"] < many.loc["crope", "caught"] < SETTINGS.min_delta
    assert np.isnan(many.loc["twin-scores", "power"])  # the same answers: no spread to know it from
    assert "" in tabulate_gate(many.reset_index(), SETTINGS).loc[:, "power at -10"].tolist()


def test_equal_answers_to_few_questions_are_no_proof_and_to_many_they_are() -> None:
    right = {"base": (0.6, 0.6), "cultureclip_s1": (0.6, 0.6)}
    assert set(judge(make(right, 50))["verdict"]) == {"undecided"}
    assert set(judge(make(right, 400))["verdict"]) == {"not worse"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "cultureclip_s9"}, "There are cultureclip, cultureclip_s1"),
        ({"model": "base"}, "no checkpoint of this name"),
        ({"benchmarks": ("crop",)}, "There are crope, twin-scores"),
        ({"part": "dev", "benchmarks": ("crope",)}, "no dev questions"),
    ],
)
def test_what_was_not_measured_is_refused(changes: dict[str, object], message: str) -> None:
    predictions = make({"base": (0.6, 0.6), "cultureclip_s1": (0.5, 0.6)})
    with pytest.raises(ConfigurationError, match=message):
        judge(predictions, SETTINGS.model_copy(update=changes))


def test_questions_about_one_concept_are_refused() -> None:
    predictions = make({"base": (0.6, 0.6), "cultureclip_s1": (0.5, 0.6)}, concepts=1, per_concept=9)
    with pytest.raises(SourceDataError, match="one concept"):
        judge(predictions)


@pytest.mark.parametrize(
    "changes", [{"power_at": 0.0}, {"fails_on": []}, {"fails_on": ["not worse"]}, {"min_delta": -1.5}, {"margin": 1}]
)
def test_settings_that_cannot_be_meant_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        GateSettings.model_validate({"min_delta": -0.02, "power_at": -0.05} | changes)


def test_the_run_ends_with_an_error_that_names_the_checkpoint_and_the_benchmark() -> None:
    parameters = GateParameters.model_validate({**SETTINGS.model_dump(), "of": "evaluation"})
    table = judge(make({"base": (0.8, 0.5), "cultureclip_s1": (0.5, 0.6)}))
    with pytest.raises(GateError, match=r"checkpoint cultureclip: .*crope accuracy worse"):
        enforce_gate(table, parameters)
    enforce_gate(judge(make({"base": (0.5, 0.5), "cultureclip_s1": (0.8, 0.6)})), parameters)


def test_the_gate_reads_a_measurement_where_it_is_told_to_and_nothing_else() -> None:
    assert "measure.predictions" in create_pipeline(of="measure").inputs()
    with pytest.raises(ConfigurationError, match=r"gate\.of"):
        create_pipeline(of="reporting")
