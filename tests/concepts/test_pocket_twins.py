"""The twins of the default environment are those of `pocket_twins.csv`: a change of them is made on purpose."""

from pathlib import Path

import pandas as pd
import yaml

from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.images.store import ShardStore
from cultureclip.pipelines.mining.nodes import embed_looks, match_twins, read_concepts
from cultureclip.pipelines.mining.parameters import MiningParameters
from cultureclip.tables import TWIN_REVIEWS, make_table
from tests.support.parameters import change_stage

ROOT = Path(__file__).parents[2]


def test_pocket_has_the_twins_that_it_had(tmp_path: Path) -> None:
    parameters = change_stage("mining", bottom_up={"enabled": False})
    assert isinstance(parameters, MiningParameters)
    names = ("top_down", "bottom_up", "category")
    prompts = [yaml.safe_load((ROOT / f"conf/base/prompts/{n}.yml").read_text(encoding="utf-8")) for n in names]
    atlas = (ROOT / "data/01_raw/atlas.csv").read_text(encoding="utf-8")
    store = KeyedStore(tmp_path / "answers.sqlite")
    concepts, sources, *_ = read_concepts(atlas, store, *prompts, parameters)
    proposals = pd.DataFrame(columns=["a_concept_id", "b_concept_id"])
    reviews = make_table([], TWIN_REVIEWS)
    looks = embed_looks(concepts, sources, store, ShardStore(tmp_path / "images"), parameters)
    twins, _ = match_twins(concepts, looks, proposals, reviews, parameters)
    accepted = twins.loc[twins["verdict"] == "accepted", ["a_name", "b_name", "split"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(
        accepted, pd.read_csv(Path(__file__).with_name("pocket_twins.csv")), check_dtype=False
    )
