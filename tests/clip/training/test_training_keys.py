"""Trainings of earlier versions go on: the key that they lie under does not change with the code."""

import pandas as pd
import pytest

from cultureclip.clip.settings import RunSettings
from cultureclip.clip.training.keys import training_key
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
    assert key_of("cultureclip", RunSettings()) == "5c397282af0808ecd2c8", REMEDY


@pytest.mark.parametrize(
    ("env", "name", "key"),
    [
        ("base", "clip_both", "b3b8204be266dafab4d5"),
        ("base", "cultureclip", "824acf4d7408a70eb4e6"),
        ("paper", "cultureclip", "8864c74359d63c592337"),
        ("ablation", "cultureclip_as_released_11", "b1d62d341b8a2d2f01e5"),
        ("ablation", "cultureclip_as_released_all", "18f4f2d23baf3505e8e4"),
        ("test", "cultureclip", "4b215ddcec9c99876b4f"),
    ],
)
def test_the_keys_of_the_shipped_configurations_are_what_they_were(env, name, key):
    parameters = change_stage("train", env)
    assert isinstance(parameters, TrainParameters)
    assert key_of(parameters.objective_of(name), parameters.run_settings(name)) == key, REMEDY
