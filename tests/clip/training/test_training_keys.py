"""Trainings of earlier versions go on: the key that they lie under does not change with the code."""

import pandas as pd
import pytest

from cultureclip.clip.settings import RunSettings
from cultureclip.clip.training.runs import training_key
from cultureclip.pipelines.train.parameters import TrainParameters
from tests.support.parameters import change_stage

FIELDS = ("concept", "concept_id", "caption", "caption_id", "image_id")
CULTWIN = pd.DataFrame(
    {
        "row_id": ["r0", "r1"],
        "twin_id": ["t0", "t1"],
        "split": ["train", "dev"],
        **{f"{side}_{field}": [f"{side} {field} {n}" for n in range(2)] for side in ("pos", "neg") for field in FIELDS},
    }
)
REMEDY = "finished trainings would be done again: raise _LAYOUT and say so in CHANGELOG.md, or keep the key"


class Pictures:
    def checksums(self, ids):
        return [f"sum of {i}" for i in ids]


def key_of(objective: str, settings: RunSettings) -> str:
    return training_key(CULTWIN, Pictures(), None, "f", objective, 1, settings)


def test_the_key_of_the_defaults_is_what_it_was():
    assert key_of("cultureclip", RunSettings()) == "0018c78c0e83dcb9df57", REMEDY


@pytest.mark.parametrize(
    ("env", "name", "key"),
    [
        ("base", "clip_both", "33b108010ca91fc6aac0"),
        ("base", "cultureclip", "6fe16f6a49fa84d3907c"),
        ("paper", "cultureclip", "72ce2470b22918a54bf9"),
        ("ablation", "cultureclip_as_released_11", "e28052d5403f05ea65bc"),
        ("ablation", "cultureclip_as_released_all", "7a8bcc9fb4078a5aa6e9"),
        ("test", "cultureclip", "02c53734162403d6d884"),
    ],
)
def test_the_keys_of_the_shipped_configurations_are_what_they_were(env, name, key):
    parameters = change_stage("train", env)
    assert isinstance(parameters, TrainParameters)
    assert key_of(parameters.objective_of(name), parameters.run_settings(name)) == key, REMEDY
