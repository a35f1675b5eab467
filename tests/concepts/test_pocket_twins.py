"""The twins of the default environment are those of `pocket_twins.csv`: a change of them is made on purpose."""

from pathlib import Path

import pandas as pd

from cultureclip.pipelines.mining.nodes import embed_looks, match_twins, read_concepts
from cultureclip.pipelines.mining.parameters import MiningParameters
from tests.support.parameters import load_parameters

ROOT = Path(__file__).parents[2]


def test_pocket_has_the_twins_that_it_had() -> None:
    parameters = MiningParameters.model_validate(load_parameters()["mining"])
    concepts, _, _ = read_concepts((ROOT / "data/01_raw/atlas.csv").read_text(encoding="utf-8"), parameters)
    twins = match_twins(concepts, embed_looks(concepts, parameters), parameters)
    accepted = twins.loc[twins["verdict"] == "accepted", ["a_name", "b_name", "split"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(
        accepted, pd.read_csv(Path(__file__).with_name("pocket_twins.csv")), check_dtype=False
    )
