"""A model's identity: text and columns say the same."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cultureclip.errors import SourceDataError
from cultureclip.scoring.models import ModelName, label_rows, read_names
from cultureclip.tables import PREDICTIONS
from tests.scoring.test_scores import make_predictions

OBJECTIVES = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)
NAMES = st.builds(
    ModelName, OBJECTIVES, st.integers(0, 2**32 - 1), st.integers(1, 100).map(lambda hundredths: hundredths / 100)
)


@given(NAMES)
def test_the_text_of_a_training_is_read_back_as_it_was(name):
    assert ModelName.parse(str(name)) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("cultureclip_s2@0.50", ModelName("cultureclip", 2, 0.5)),
        ("cultureclip@0.50", ModelName("cultureclip", None, 0.5)),
        ("clip_both", ModelName("clip_both")),
        ("cultureclip_as_released_1_s3", ModelName("cultureclip_as_released_1", 3)),
        ("siglip-v2", ModelName("siglip-v2")),
        ("", ModelName("")),
        ("a\nb_s1", ModelName("a\nb_s1")),
    ],
)
def test_texts_from_outside(text, name):
    assert ModelName.parse(text) == name
    assert str(name) == text


def test_means_and_headlines():
    name = ModelName("cultureclip", 2, 0.5)
    assert name.mean == ModelName("cultureclip", None, 0.5)
    assert [n for n in (name, name.mean, ModelName("cultureclip"), ModelName("base")) if n.is_whole_mean] == [
        ModelName("cultureclip"),
        ModelName("base"),
    ]


@given(st.sets(NAMES, min_size=1, max_size=6))
def test_columns_are_read_back_as_they_were_also_through_parquet(tmp_path_factory, names):
    texts = [str(name) for name in names]
    table = label_rows(pd.DataFrame({"model": [*texts, *texts]}), names)
    assert read_names(table) == sorted(names, key=str)
    path = tmp_path_factory.mktemp("t") / "t.parquet"
    table.to_parquet(path)
    assert read_names(pd.read_parquet(path)) == sorted(names, key=str)


def test_predictions_of_an_earlier_version_are_refused_with_the_command():
    old = make_predictions().drop(columns=["objective", "seed", "scale"])
    with pytest.raises(SourceDataError, match=r"earlier version.*kedro run --pipelines=evaluation"):
        read_names(old)
    PREDICTIONS.validate(make_predictions())
