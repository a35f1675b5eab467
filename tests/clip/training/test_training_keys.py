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
        ("base", "clip_both", "1ebe2eb1bf2a0d0c6f9d"),
        ("base", "cultureclip", "7881eb479ade54393e3e"),
        ("paper", "cultureclip", "72ce2470b22918a54bf9"),
        ("ablation", "cultureclip_as_released_11", "143d45e4903075df7af4"),
        ("ablation", "cultureclip_as_released_all", "5868ac7f07f279dbe383"),
        ("test", "cultureclip", "86410976ba50c06f8c1f"),
    ],
)
def test_the_keys_of_the_shipped_configurations_are_what_they_were(env, name, key):
    parameters = change_stage("train", env)
    assert isinstance(parameters, TrainParameters)
    assert key_of(parameters.objective_of(name), parameters.run_settings(name)) == key, REMEDY
