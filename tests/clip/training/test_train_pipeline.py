"""The stage's wiring: instances from the config, and a run of it through Kedro's catalog and runner."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from kedro.config import OmegaConfigLoader
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from pydantic import ValidationError

from cultureclip.clip.training.trainer import Trainer
from cultureclip.errors import ConfigurationError
from cultureclip.pipelines.train import create_pipeline
from cultureclip.pipelines.train.instances import make_instances, read_instances
from cultureclip.pipelines.train.nodes import list_general_pairs
from cultureclip.pipelines.train.parameters import TrainParameters
from cultureclip.session_config import SessionConfig, note_config
from tests.clip.conftest import make_rows

OWN = ("loss_curves", "general_pairs", "checkpoint_{run}")
CONF = Path(__file__).parents[3] / "conf"


@pytest.fixture
def parameters(base_folder, tmp_path):
    loader = OmegaConfigLoader(str(CONF), base_env="base", default_run_env="base")
    values = loader["parameters"]["train"] | {
        "base": str(base_folder),
        "work_dir": str(tmp_path / "work"),
        "objectives": ["clip_both", "cultureclip"],
        "seeds": [1],
        "at_once": 1,
    }
    values["trainer"] = values["trainer"] | {"steps": 4, "batch": 4, "warmup_steps": 1, "eval_every": 2}
    values["general_pairs"] = values["general_pairs"] | {"most": 40}
    return TrainParameters(**values)


def concepts_table():
    kinds = {"concept_id": ["a", "b"], "category": ["Clothing", "Symbol"], "universal": ["robe", "flag"]}
    return pd.DataFrame(kinds | {"reference_image": ["emoji:👘", None]})


def run(parameters, folder, rows_and_images):
    loader = OmegaConfigLoader(str(CONF), base_env="base", default_run_env="base")
    entries = {name: entry for name, entry in loader["catalog"].items() if "train" in name or name in OWN}
    text = yaml.safe_dump(entries).replace("filepath: data", f"filepath: {folder}")
    catalog = DataCatalog.from_config(yaml.safe_load(text))
    catalog["cultwin"], catalog["images"] = (MemoryDataset(d, copy_mode="assign") for d in rows_and_images)
    catalog["concepts"] = MemoryDataset(concepts_table())
    catalog["params:train"] = MemoryDataset(parameters, copy_mode="assign")
    SequentialRunner().run(create_pipeline(parameters.objectives, parameters.seeds), catalog)
    return catalog


def test_stage_runs_through_the_catalog_and_a_second_run_trains_nothing(parameters, tmp_path, monkeypatch):
    catalog = run(parameters, tmp_path / "data", make_rows())
    first = catalog["checkpoint_cultureclip_s1"].load()
    assert first.path.is_relative_to(tmp_path / "data/06_models/train_cultureclip_s1/checkpoint")
    assert first.card.objective == "cultureclip" and first.merged_path.is_dir()
    assert [row["step"] for row in catalog["training_log_clip_both_s1"].load()] == [0, 2, 4]
    assert set(catalog["training_metrics"].load()) == {"clip_both_s1", "cultureclip_s1"}
    assert catalog["loss_curves"].load().data
    monkeypatch.setattr(Trainer, "run", lambda self: pytest.fail("trained again"))
    again = run(parameters, tmp_path / "again", make_rows())["checkpoint_cultureclip_s1"].load()
    for name in ("adapter.safetensors", "card.json", "merged/open_clip_model.safetensors"):
        assert (again.path / name).read_bytes() == (first.path / name).read_bytes()


def test_a_variant_trains_with_settings_of_its_own(parameters, tmp_path):
    variants = {"frozen": {"objective": "clip_both", "settings": {"as_released": [3, 11], "lora": {"rank": 2}}}}
    values = parameters.model_dump() | {"variants": variants, "objectives": ["frozen", "clip_both"], "seeds": [1]}
    catalog = run(TrainParameters.model_validate(values), tmp_path, make_rows())
    own, plain = (catalog[f"checkpoint_{name}_s1"].load().card for name in ("frozen", "clip_both"))
    assert own.objective == plain.objective == "clip_both"
    assert (own.lora.rank, own.lora.train_temperature) == (2, False)
    assert (plain.lora.rank, plain.lora.train_temperature) == (parameters.lora.rank, True)
    assert own.lora.alpha == parameters.lora.alpha
    assert [row["step"] for row in catalog["training_log_frozen_s1"].load()] == [0, 4]
    assert catalog["training_metrics"].load()["frozen_s1"]["chosen"]["step"] == own.step == 4


@pytest.mark.parametrize(
    ("variants", "cause"),
    [
        ({"x": {"objective": "clip", "settings": {"trainer": {"lrr": 1}}}}, "lrr"),
        ({"x": {"objective": "clip", "settings": {"steps": 1}}}, "steps"),
        ({"Not A Name": {"objective": "clip", "settings": {}}}, "variants"),
        ({"clip": {"objective": "cultureclip", "settings": {}}}, "has the name of a loss"),
        ({"x": {"objective": "nope", "settings": {}}}, "variants.x.objective"),
    ],
)
def test_wrong_variants_are_refused(parameters, variants, cause):
    with pytest.raises(ValidationError, match=cause):
        TrainParameters.model_validate(parameters.model_dump() | {"variants": variants})


def test_general_pairs_are_listed_for_a_variant_alone(parameters):
    variants = {"held": {"objective": "clip", "settings": {"replay": {"batch": 4}}}}
    values = parameters.model_dump() | {"variants": variants, "replay": {"batch": 0}}
    alone = TrainParameters.model_validate(values | {"objectives": ["clip", "held"]})
    assert len(list_general_pairs(concepts_table(), alone)) > 0
    assert len(list_general_pairs(concepts_table(), TrainParameters.model_validate(values))) == 0
    with pytest.raises(ValidationError, match="batch needs pairs"):
        TrainParameters.model_validate(alone.model_dump() | {"general_pairs": {"source": None}})


def test_a_variant_without_replay_trains_beside_one_with(parameters, tmp_path):
    variants = {"free": {"objective": "clip", "settings": {"replay": {"batch": 0}}}}
    values = parameters.model_dump() | {"variants": variants, "objectives": ["free", "clip"]}
    catalog = run(TrainParameters.model_validate(values), tmp_path, make_rows())
    free, held = (catalog[f"checkpoint_{name}_s1"].load().card for name in ("free", "clip"))
    assert free.training_key != held.training_key


def test_one_namespace_for_every_objective_and_seed():
    pipeline = create_pipeline(["clip", "cultureclip"], [1, 2])
    names = {f"train.{o}.s{s}.train_model" for o in ("clip", "cultureclip") for s in (1, 2)}
    shared = {"train.list_general_pairs", "train.train_together", "train.summarise_training"}
    assert {node.name for node in pipeline.nodes} == names | shared
    assert pipeline.inputs() == {"concepts", "cultwin", "images", "params:train"}
    checkpoints = {f"checkpoint_{o}_s{s}" for o in ("clip", "cultureclip") for s in (1, 2)}
    assert pipeline.outputs() == checkpoints | {"loss_curves", "training_metrics"}


def test_parameters_that_the_pipeline_was_not_built_for_are_refused(parameters, tmp_path):
    other = parameters.model_copy(update={"seeds": (1, 2)})
    pipeline = create_pipeline(parameters.objectives, parameters.seeds)
    node = next(node for node in pipeline.nodes if node.name == "train.train_together")
    with pytest.raises(ConfigurationError, match="--params cannot change"):
        node.run(dict.fromkeys(node.inputs) | {"params:train": other})


def test_instances_follow_the_environment(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text('[tool.kedro]\npackage_name = "x"\nproject_name = "x"\n')
    for env, objectives in (("base", ["clip"]), ("paper", ["cultureclip", "negclip"]), ("local", None)):
        folder = tmp_path / "conf" / env
        folder.mkdir(parents=True)
        if objectives:
            train = {"train": {"objectives": objectives, "seeds": [1, 2]}}
            (folder / "parameters_train.yml").write_text(yaml.safe_dump(train))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KEDRO_ENV", raising=False)
    note_config(None)
    assert read_instances() == make_instances(["clip"], [1, 2])
    monkeypatch.setenv("KEDRO_ENV", "paper")
    assert list(map(str, read_instances())) == ["cultureclip_s1", "cultureclip_s2", "negclip_s1", "negclip_s2"]
    (tmp_path / "conf/paper/parameters_train.yml").write_text("train: {seeds: []}")
    with pytest.raises(ConfigurationError, match=r"train\.objectives"):
        read_instances()
    for wrong, cause in (
        ({"objectives": "clip", "seeds": [1]}, r"train\.objectives: .*tuple"),
        ({"objectives": ["../../clip"], "seeds": [1]}, r"no objective '\.\./\.\./clip'; choose among clip, "),
        ({"objectives": ["clip"], "seeds": [1, 1]}, r"an entry of \[1, 1\] is there twice"),
        ({"objectives": ["clip"], "seeds": 3}, r"train\.seeds"),
        ("clip", r"train\.objectives: Field required"),
    ):
        (tmp_path / "conf/paper/parameters_train.yml").write_text(yaml.safe_dump({"train": wrong}))
        with pytest.raises(ConfigurationError, match=cause):
            read_instances()
    note_config(SessionConfig(str(tmp_path / "conf"), None))  # a session knows better than the variable
    assert read_instances() == make_instances(["clip"], [1, 2])
    note_config(None)
    monkeypatch.setenv("KEDRO_ENV", "nowhere")
    with pytest.raises(ConfigurationError, match="no configuration"):
        read_instances()


@pytest.mark.parametrize("change", [{"objectives": []}, {"seeds": [-1]}, {"update_scale": 2}, {"steps": 3}])
def test_wrong_parameters_are_refused(parameters, change):
    with pytest.raises(ValidationError):
        TrainParameters(**(parameters.model_dump() | change))


def test_wiring_does_not_import_torch():
    code = "import sys, cultureclip.pipelines.train as t; t.create_pipeline('a', [1]); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
