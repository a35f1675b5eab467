"""The mining stage as Kedro runs it: shipped catalog and parameters, small models in the production formats."""

import copy
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from pydantic import ValidationError

from cultureclip.concepts.matching import Matching
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.settings import HERE
from cultureclip.errors import SourceDataError
from cultureclip.images.store import ShardStore
from cultureclip.models.encoder import ImageTextEncoder, load_encoder
from cultureclip.pipelines.mining import create_pipeline
from cultureclip.pipelines.mining.nodes import embed_looks, summarise_mining
from cultureclip.pipelines.mining.parameters import MiningParameters
from cultureclip.tables import CONCEPT_SOURCES, make_table
from tests.support.parameters import load_parameters
from tests.support.tiny_clip import write_tiny_clip
from tests.support.tiny_llama import write_tiny_llama

ROOT = Path(__file__).parents[2]


def shipped_parameters() -> dict[str, Any]:
    return copy.deepcopy(load_parameters()["mining"])


def run_stage(data: Path, atlas: pd.DataFrame, parameters: dict[str, Any]) -> dict[str, Any]:
    config = (ROOT / "conf/base/catalog_mining.yml").read_text(encoding="utf-8")
    places = {"raw": f"{data}/01_raw", "data": str(data), "prompts": str(ROOT / "conf/base/prompts")}
    for name, place in places.items():
        config = config.replace(f"${{globals:{name}}}", place)
    (data / "01_raw").mkdir(parents=True, exist_ok=True)
    atlas.to_csv(data / "01_raw/atlas.csv", index=False)
    catalog = DataCatalog.from_config(yaml.safe_load(config))
    catalog["image_store"] = MemoryDataset(ShardStore(data / "image_store"), copy_mode="assign")
    catalog["params:mining"] = MemoryDataset(MiningParameters(**parameters))
    catalog["params:engine"] = MemoryDataset(HERE)
    SequentialRunner().run(create_pipeline(), catalog)
    return {
        name: catalog[name].load()
        for name in ("concepts", "twins", "culture_yields", "mining.bottom_up", "mining.looks", "mining_metrics")
    }


def open_stores(folder: Path) -> tuple[KeyedStore, ShardStore]:
    return KeyedStore(folder / "answers.sqlite"), ShardStore(folder / "images")


@pytest.fixture(scope="module")
def atlas() -> pd.DataFrame:
    frame = pd.read_csv(ROOT / "data/01_raw/atlas.csv", dtype=str, keep_default_na=False)
    objects, flags = frame[frame["universal"] != "flag"], frame[frame["universal"] == "flag"]
    alike = flags[flags["name"].isin(["flag of Chad", "flag of Romania"])]
    return pd.concat([objects.iloc[:40], flags.iloc[:20], alike]).drop_duplicates("name")


@pytest.fixture(scope="module")
def parameters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("models")
    values = shipped_parameters() | {"judge": str(write_tiny_clip(folder / "judge"))}
    values["bottom_up"] |= {
        "language_model": {"path": str(write_tiny_llama(folder / "llama")), "batch": 256},
        "titles": str(ROOT / "data/01_raw/titles.csv"),
        "folds": 2,
    }
    values["twins"] |= {"picture_size": 16, "max_twins_per_kind": {"flag": 5, "other": 9}}
    return values


def test_stage_runs_and_its_counts_add_up(
    tmp_path: Path, atlas: pd.DataFrame, parameters: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "cultureclip")
    made = run_stage(tmp_path, atlas, parameters)
    metrics, twins = made["mining_metrics"], made["twins"]
    assert len(made["concepts"]) == len(made["mining.looks"]) == len(atlas)
    assert metrics["in"] == len(twins) == metrics["kept"] + sum(metrics["rejected"].values())
    assert metrics["twins"]["by_kind"] == {"other": 9, "flag": 5}
    assert metrics["rejected"]["indistinguishable"] > 0
    assert f"{metrics['rejected']['enough twins of its kind']} more pairs are refused" in caplog.text
    assert [sorted(pair) for pair in metrics["drawn_alike"]] == [["flag of Chad", "flag of Romania"]]
    assert metrics["bottom_up"]["titles"] == len(made["mining.bottom_up"])
    assert set(metrics["bottom_up"]["test"]) == {"language_model", "sentence_encoder"}


def test_bottom_up_can_be_left_out(tmp_path: Path, atlas: pd.DataFrame, parameters: dict[str, Any]) -> None:
    values = parameters | {"bottom_up": parameters["bottom_up"] | {"enabled": False}}
    made = run_stage(tmp_path, atlas, values)
    assert made["mining.bottom_up"].empty
    assert made["mining_metrics"]["bottom_up"] == {}
    assert made["mining_metrics"]["kept"] == 14


@pytest.mark.parametrize(
    "change",
    [
        {"judgee": "x"},
        {"judge": ""},
        {"twins": {"max_twins_per_kind": {"other": -1}}},
        {"twins": {"max_twins_per_kind": {"flag": 1}}},
        {"twins": {"max_twins_per_category": {"Flags": 3}}},
        {"twins": {"dev_share": 1.0}},
        {"twins": {"views": {"flagg": ["left_right"]}}},
        {"twins": {"views": {"flag": ["sideways"]}}},
    ],
)
def test_bad_parameters_are_refused(change: dict[str, Any]) -> None:
    values = shipped_parameters()
    for key, value in change.items():
        values[key] = values[key] | value if isinstance(value, dict) else value
    with pytest.raises(ValidationError):
        MiningParameters(**values)


def test_concepts_without_pictures_are_named_as_the_lack(tmp_path: Path) -> None:
    shipped = MiningParameters(**shipped_parameters())
    concepts = pd.DataFrame({"concept_id": ["a", "b"], "reference_image": ["emoji:👘", None]})
    with pytest.raises(SourceDataError, match="1 of 2 concepts have a picture, and a twin needs two"):
        embed_looks(
            concepts, make_table([], CONCEPT_SOURCES), KeyedStore(tmp_path / "s"), ShardStore(tmp_path / "i"), shipped
        )


def test_the_judge_looks_where_the_parameter_says(
    tmp_path: Path, parameters: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []

    def load_on_the_cpu(path: Path, device: str) -> ImageTextEncoder:
        used.append(device)
        return load_encoder(path)

    monkeypatch.setattr("cultureclip.models.encoder.load_encoder", load_on_the_cpu)
    pictures = ["emoji:👘", "emoji:🥻"]
    facts = {"reference_image": pictures, "cultures": [["JP"], ["IN"]], "universal": "dress"}
    concepts = pd.DataFrame({"concept_id": ["a", "b"], **facts})
    settings = MiningParameters(**parameters | {"device": "cuda:1"})
    embed_looks(
        concepts, make_table([], CONCEPT_SOURCES), KeyedStore(tmp_path / "s"), ShardStore(tmp_path / "i"), settings
    )
    assert used == ["cuda:1"]


def test_a_summary_without_any_twin_counts_nothing(parameters: dict[str, Any]) -> None:

    concepts = pd.DataFrame(
        {"concept_id": ["a"], "universal": ["flag"], "name": ["x"], "cultures": [["JP"]], "category": ["Symbol"]}
    )
    looks = pd.DataFrame({"concept_id": ["a"], "stands_for": ["a"]})
    columns = ["verdict", "a_concept_id", "b_concept_id", "reason", "split"]
    twins = pd.DataFrame([["rejected", "a", "a", "not alike enough", None]], columns=columns).astype("str")
    matching = Matching(twins, 1, 0, {"not alike enough": 1}, pd.DataFrame(), {})
    summary = summarise_mining(concepts, looks, matching, {}, {}, MiningParameters(**parameters))
    assert summary["twins"] == {"by_kind": {}, "dev": 0}
    assert summary["concepts"]["by_kind"] == {"flag": 1}


PORTRAITS = {
    "model": str(ROOT / "src/cultureclip/pocket/weights/generator"),
    "device": "cpu",
    "dtype": "float32",
    "scheduler": None,
    "call": {"num_inference_steps": 2, "guidance_scale": 1.0, "height": 48, "width": 48, "max_sequence_length": 0},
    "batch_size": 4,
    "part_size": 4,
    "prompt": "{name} with {features}",
    "pictures": 2,
}


def test_concepts_without_a_picture_are_drawn_from_their_features_once(
    tmp_path: Path, parameters: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = {"concept_id": list("abcd"), "name": ["kimono", "sari", "poncho", "thing"], "universal": "dress"}
    facts = {"cultures": [["JP"], ["IN"], ["PE"], ["MX"]], "reference_image": ["emoji:👘", None, None, None]}
    features = [["sash"], ["silk drape"], ["woven stripes", "fringe"], []]
    concepts = pd.DataFrame(columns | facts | {"key_visual_features": features})
    settings = MiningParameters(**parameters | {"portraits": PORTRAITS})
    stores = open_stores(tmp_path)
    looks = embed_looks(concepts, make_table([], CONCEPT_SOURCES), *stores, settings)
    assert looks["concept_id"].tolist() == looks["stands_for"].tolist() == ["a", "b", "c"]  # d has nothing to draw
    assert looks["pictures"].tolist() == [1, 2, 2]
    assert len(stores[1].present()) == 4
    monkeypatch.setattr("cultureclip.models.diffusion.text_to_image.load_text_to_image", None)  # nothing is drawn again
    again = embed_looks(concepts, make_table([], CONCEPT_SOURCES), *stores, settings)
    pd.testing.assert_frame_equal(looks, again)


def test_concepts_may_all_be_drawn(tmp_path: Path, parameters: dict[str, Any]) -> None:
    facts = {"concept_id": ["a", "b"], "name": ["sari", "poncho"], "universal": "dress", "cultures": [["IN"], ["PE"]]}
    concepts = pd.DataFrame(facts | {"reference_image": None, "key_visual_features": [["silk"], ["stripes"]]})
    settings = MiningParameters(**parameters | {"portraits": PORTRAITS})
    looks = embed_looks(concepts, make_table([], CONCEPT_SOURCES), *open_stores(tmp_path), settings)
    assert looks["stands_for"].tolist() == ["a", "b"]


@pytest.mark.parametrize("prompt", ["a picture of {name}", "{features} of {culture}", "{features} {"])
def test_a_prompt_that_cannot_be_filled_is_refused(parameters: dict[str, Any], prompt: str) -> None:
    with pytest.raises(ValidationError, match="features"):
        MiningParameters(**parameters | {"portraits": PORTRAITS | {"prompt": prompt}})
