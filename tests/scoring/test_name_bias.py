"""Name bias, against a count by hand and against models whose bias is known."""

import numpy as np
import pandas as pd
import pytest

from cultureclip.scoring.name_bias import measure_name_bias, tuned_names
from cultureclip.tables import NAME_BIAS
from tests.support.predictions import label

TUNED = {"Sari", "kilt"}
NAMES = ("sari", "kilt", "poncho", "toque", "fez")


def make_questions(count: int = 120) -> dict[str, tuple[str, ...]]:
    """Questions with two to four names, the right one first."""
    rng = np.random.default_rng(3)
    return {f"accuracy:{i}": tuple(rng.permutation(NAMES)[: rng.integers(2, 5)].tolist()) for i in range(count)}


def answer(questions: dict[str, tuple[str, ...]], models: dict[str, object]) -> pd.DataFrame:
    """Predictions of models that are functions from a question's names to credit."""
    rows = [
        ("crope", model, item, names[0], "dev" if number % 3 == 0 else "test", float(credit(names)))  # type: ignore[operator]
        for number, (item, names) in enumerate(questions.items())
        for model, credit in models.items()
    ]
    frame = pd.DataFrame(rows, columns=["benchmark", "model", "item_id", "cluster", "part", "correct"])
    return label(frame.assign(culture="", category=""))


def name_first(names: tuple[str, ...]) -> float:
    """Credit of a model that never looks: it answers a tuned name where there is one, else the least."""
    known = [name for name in names if name in ("sari", "kilt")] or [min(names)]
    return (names[0] in known) / len(known)


MODELS = {"base": lambda names: 0.5, "ours_s1": name_first, "ours_s2": name_first, "ours_s1@0.50": lambda names: 1.0}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    questions = make_questions()
    return measure_name_bias(answer(questions, MODELS), {"crope": questions, "none": {}}, TUNED, "clip_both")


def test_the_table_is_valid_and_has_means_over_seeds_only(table: pd.DataFrame) -> None:
    NAME_BIAS.validate(table)
    assert set(table["model"]) == {"base", "ours", "ours@0.50"}
    assert set(table["part"]) == {"dev", "test"}


def test_a_model_that_answers_the_tuned_name_is_always_right_or_always_wrong(table: pd.DataFrame) -> None:
    values = table[table["model"] == "ours"].set_index(["part", "tuned_on"])
    for part in ("dev", "test"):
        assert values.loc[(part, "right only"), "value"] == 1
        assert values.loc[(part, "right only"), "difference"] == 0.5
        assert values.loc[(part, "wrong only"), "value"] == 0
        assert values.loc[(part, "wrong only"), "difference"] == -0.5


def test_groups_are_those_counted_by_hand(table: pd.DataFrame) -> None:
    base = table[(table["model"] == "base") & (table["part"] == "test")].set_index("tuned_on")
    counted = dict.fromkeys(("right only", "wrong only", "both", "neither"), 0)
    for number, names in enumerate(make_questions().values()):
        if number % 3:
            right, wrong = names[0] in ("sari", "kilt"), bool({"sari", "kilt"} & set(names[1:]))
            counted["both" if right and wrong else "right only" if right else "wrong only" if wrong else "neither"] += 1
    assert base["n"].to_dict() == counted
    assert base["difference"].isna().all()
    assert base.loc["wrong only", "clusters"] == 3


def test_benchmarks_without_names_leave_an_empty_valid_table() -> None:
    questions = make_questions()
    table = measure_name_bias(answer(questions, MODELS), {"crope": {}}, TUNED, "clip_both")
    assert table.empty
    NAME_BIAS.validate(table)


def test_names_of_dev_twins_were_not_tuned_on() -> None:
    rows = [("train", "sari", "kilt"), ("train", "fez", "sari"), ("dev", "toque", "poncho")]
    assert tuned_names(pd.DataFrame(rows, columns=["split", "pos_concept", "neg_concept"])) == {"sari", "kilt", "fez"}
