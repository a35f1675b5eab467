"""``--env=paper``: its settings are the published recipe's, and its stages run on models in the formats it names."""

import copy
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from kedro.config import OmegaConfigLoader
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog
from pydantic import ValidationError

from cultureclip.captions.checks import Reason
from cultureclip.concepts.atlas import read_concepts
from cultureclip.errors import ConfigurationError, WeightsError
from cultureclip.ids import digest, twin_id
from cultureclip.judging import verdicts
from cultureclip.judging.rating import CRITERIA
from cultureclip.judging.reasons import Reason as ImageReason
from cultureclip.models.diffusion.text_to_image import check_call, load_text_to_image
from cultureclip.models.encoder import load_encoder
from cultureclip.pipeline_registry import MODULES
from cultureclip.pipelines.parameters import PARAMETERS
from cultureclip.provenance import walk
from cultureclip.settings import CONFIG_LOADER_ARGS
from cultureclip.tables import CAPTIONS
from tests.support.tiny_paper import write_tiny_openai_clip, write_tiny_qwen, write_tiny_sd35

ROOT = Path(__file__).parents[1]
PAPER = ROOT / "conf/paper"
PAIRS = (("kimono", "sari"), ("flag of Ireland", "flag of Côte d’Ivoire"))
TINY = {"device": "cpu", "call": {"height": 32, "width": 32}}
VISION_JUDGE = ROOT / "src/cultureclip/pocket/weights/vision_judge"
OPEN = ".max_twins_per_kind."
"""Its keys are kinds of the user's concepts, so none is known before they are read."""
ON_CPU = {"device": "cpu", "vision_language": {"model": {"device": "cpu", "dtype": "float32"}}}


def read_yaml(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def merged() -> dict[str, Any]:
    return OmegaConfigLoader(str(ROOT / "conf"), env="paper", **CONFIG_LOADER_ARGS)["parameters"]


def validate(stage: str, parameters: dict[str, Any]) -> Any:
    return PARAMETERS[stage].model_validate(parameters[stage])


@pytest.mark.parametrize("stage", [p.stem.partition("_")[2] for p in (ROOT / "conf/base").glob("parameters_*.yml")])
def test_every_stage_accepts_its_parameters(merged, stage):
    validate(stage, merged)


def test_only_stages_and_known_globals_are_overridden():
    assert set(read_yaml(PAPER / "parameters.yml")) <= set(MODULES)
    assert set(read_yaml(PAPER / "globals.yml")) <= set(read_yaml(ROOT / "conf/base/globals.yml"))


@pytest.mark.parametrize("path", [p for p, _ in walk(read_yaml(PAPER / "parameters.yml")) if OPEN not in p])
def test_each_overridden_key_is_refused_when_it_is_misspelt(merged, path, tmp_path):
    parameters = copy.deepcopy(merged)
    stage, *parents, key = path.split(".")
    place = parameters[stage]
    for parent in parents:
        place = place[parent]
    place[f"{key}x"] = place[key]
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusion3Pipeline"}')
    with pytest.raises((ValidationError, ConfigurationError), match=f"{key}x"):
        settings = validate(stage, parameters)
        check_call(tmp_path, settings.call.model_dump())  # arguments of the generator's call get as far as this


def test_the_settings_are_the_published_ones(merged):
    train = validate("train", merged)
    assert (train.lora.rank, train.lora.alpha, train.lora.dropout) == (4, 16, 0.1)
    assert (train.lora.targets, train.lora.towers) == (("q", "v"), ("image", "text"))
    assert train.lora.train_temperature, "better than the release, which as_released: [3] brings back"
    released = train.model_copy(update={"as_released": (3,)})
    assert not released.effective().lora.train_temperature
    assert (train.objective.lambda_caption, train.objective.lambda_concept) == (0.7, 0.3)
    assert "cultureclip" in train.objectives
    assert train.seeds == (42,)
    assert (train.update_scale, train.replay.batch, train.trainer.anchor) == (1, 0, 0)
    trainer = train.trainer
    assert (trainer.batch, trainer.lr, trainer.weight_decay, trainer.warmup_steps) == (1024, 1e-5, 0.1, 100)
    assert trainer.steps * trainer.batch == pytest.approx(10 * 100_000, rel=0.05), "10 epochs"

    captioning = validate("captioning", merged)
    assert sum(kind.wanted for kind in captioning.kinds.values()) == 10
    assert (captioning.temperature, captioning.rules.max_words) == (0.7, 14)
    synthesis = validate("synthesis", merged)
    assert (synthesis.call.num_inference_steps, synthesis.call.guidance_scale) == (4, 0.0)
    assert synthesis.images_per_caption == 1


@pytest.mark.parametrize(
    ("environment", "root"), [("local", "data"), ("ablation", "data"), ("paper", "data/paper"), ("test", "data/test")]
)
def test_a_load_cannot_take_what_another_environment_made(environment, root):
    catalog = OmegaConfigLoader(str(ROOT / "conf"), env=environment, **CONFIG_LOADER_ARGS)["catalog"]
    places = {Path(entry["filepath"]) for entry in catalog.values() if "filepath" in entry}
    raw = {place for place in places if place.is_relative_to("data/01_raw")}
    assert Path("data/01_raw/atlas.csv") in raw, "what comes from outside is shared"
    prompts = {place for place in places if place.parts[0] == "conf"}
    own = "paper" if environment == "paper" else "base"
    assert {place.parent for place in prompts} == {Path("conf", own, "prompts")}, "paper inherits no prompt"
    assert len(places - raw) > 30
    assert all(place.relative_to(root).parts[0][:2].isdigit() for place in places - raw - prompts)


def test_the_models_are_the_published_ones_and_the_judge_is_another_than_the_trainee(merged):
    assert merged["captioning"]["language_model"]["path"] == "models/Qwen2.5-7B-Instruct"
    assert merged["captioning"]["language_model"]["gguf_file"] is None
    assert merged["synthesis"]["model"] == "models/stable-diffusion-3.5-large-turbo"
    assert merged["train"]["base"] == merged["evaluation"]["base_model"] == "models/ViT-B-32-openai"
    assert merged["filtering"]["judge"] == merged["mining"]["judge"] == "models/ViT-L-14"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, merged: dict[str, Any]) -> Path:
    """The folder ``models`` that ``conf/paper`` speaks of, with tiny models in it."""
    folder = tmp_path_factory.mktemp("paper")
    write_tiny_qwen(folder / merged["captioning"]["language_model"]["path"])
    write_tiny_sd35(folder / merged["synthesis"]["model"])
    write_tiny_openai_clip(folder / merged["train"]["base"], seed=1)
    write_tiny_openai_clip(folder / merged["filtering"]["judge"], seed=2)
    shutil.copytree(VISION_JUDGE, folder / merged["filtering"]["vision_language"]["model"]["path"])
    return folder / "models"


class Project:
    """A project folder of its own with the real configuration, as a user has it before the first run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("pyproject.toml", ".telemetry"):
            shutil.copy(ROOT / name, folder)
        shutil.copytree(ROOT / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
        (folder / "conf/local").mkdir()
        (folder / "src").mkdir()  # the package itself is installed

    def run(self, *pipelines: str, **parameters: Any) -> None:
        bootstrap_project(self.folder)
        with KedroSession.create(self.folder, env="paper", runtime_params=parameters) as session:
            session.run(pipeline_names=list(pipelines))

    @property
    def catalog(self) -> DataCatalog:
        """A new one each time: it saves a new version and loads the newest."""
        loader = OmegaConfigLoader(str(self.folder / "conf"), env="paper", **CONFIG_LOADER_ARGS)
        return DataCatalog.from_config(loader["catalog"])


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


@pytest.fixture
def mined(fresh: Project) -> Project:
    """A project with concepts and two twins, as mining leaves them."""
    atlas = pd.read_csv(ROOT / "data/01_raw/atlas.csv", dtype=str, keep_default_na=False)
    concepts = read_concepts(atlas[atlas["name"].isin([name for pair in PAIRS for name in pair])])
    fresh.catalog.save("concepts", concepts)
    fresh.catalog.save("twins", twin_table(concepts))
    return fresh


@pytest.fixture
def complete(mined: Project, models: Path) -> Project:
    """The same with the models where ``conf/paper`` looks for them."""
    (mined.folder / "models").symlink_to(models)
    # Pocket's vision-language judge takes no instructions: its question is the name alone.
    shutil.copy(ROOT / "conf/base/prompts/rating.yml", mined.folder / "conf/paper/prompts/rating.yml")
    return mined


def twin_table(concepts: pd.DataFrame) -> pd.DataFrame:
    by_name = concepts.set_index("name")
    rows = []
    for a, b in PAIRS:
        ids = by_name.loc[a, "concept_id"], by_name.loc[b, "concept_id"]
        pair = {"twin_id": twin_id(*ids), "a_concept_id": ids[0], "b_concept_id": ids[1], "a_name": a, "b_name": b}
        scores = {"visual_similarity": 0.9, "cultural_overlap": 0.0, "score": 0.9, "method": "curated"}
        rows.append(pair | scores | {"category": by_name.loc[a, "category"], "evidence": "{}", "split": "train"})
    nothing = pd.Series([None] * len(rows), dtype="str")
    return pd.DataFrame(rows).assign(verdict="accepted", reason=nothing, review=nothing)


def save_captions(project: Project) -> pd.DataFrame:
    """Three accepted captions and a rejected one for each side, as captioning leaves them."""
    names = project.catalog.load("concepts").set_index("concept_id")["name"]
    twins = project.catalog.load("twins")
    templates = {"A {} in the sun": None, "One {} on a table": None, "A {} seen by night": None, "{}": "too_short"}
    rows = [
        {
            "caption_id": digest(twin, concept, text),
            "twin_id": twin,
            "kind": "plain",
            "concept_id": concept,
            "text": text.format(names[concept]),
            "seed": 1,
            "tries": tries,
            "reason": reason,
        }
        for twin, *pair in twins[["twin_id", "a_concept_id", "b_concept_id"]].itertuples(index=False)
        for concept in pair
        for tries, (text, reason) in enumerate(templates.items(), 1)
    ]
    table = pd.DataFrame(rows).assign(language="en", model="by hand", revision="1", prompt_id="none", checks="{}")
    table["english"] = table["text"]
    table["verdict"] = table["reason"].isna().map({True: "accepted", False: "rejected"})
    project.catalog.save("captions", table)
    return table


def test_a_run_in_a_fresh_project_stops_before_work_and_says_what_to_run(fresh):
    command = [sys.executable, "-m", "kedro", "run", "--env=paper", "--pipelines=synthesis"]
    environment = os.environ | {"COLUMNS": "200"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    output = " ".join(result.stdout.split() + result.stderr.split())
    assert result.returncode != 0
    assert "concepts: it has not been made yet (nor have captions)" in output
    assert "kedro run --pipelines=mining --env=paper" in output
    assert "Running node" not in output


@pytest.mark.parametrize(
    ("stage", "model"),
    [
        ("captioning", "models/Qwen2.5-7B-Instruct"),
        ("synthesis", "models/stable-diffusion-3.5-large-turbo"),
        ("mining", "models/ViT-L-14"),
    ],
)
def test_a_missing_model_stops_the_run_before_work_and_is_named(mined, stage, model):
    save_captions(mined)
    (mined.folder / "data/01_raw").mkdir(parents=True)
    shutil.copy(ROOT / "data/01_raw/atlas.csv", mined.folder / "data/01_raw")
    with pytest.raises(WeightsError, match="no such file or directory") as caught:
        mined.run(stage)
    assert caught.value.item.startswith(f"{stage}.")
    assert f": {model}" in caught.value.item
    assert not mined.catalog.exists("run_manifest")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize(
    ("stage", "parameter"), [("captioning", "captioning.language_model.device"), ("synthesis", "synthesis.device")]
)
def test_a_missing_gpu_stops_the_run_before_work(complete, stage, parameter):
    save_captions(complete)
    with pytest.raises(ConfigurationError, match="no cuda on this machine") as caught:
        complete.run(stage)
    assert caught.value.item == parameter
    assert not complete.catalog.exists("run_manifest")


def test_captioning_keeps_every_try_of_a_model_that_cannot_write(complete):
    complete.run("captioning", captioning={"language_model": {"device": "cpu"}})
    captions = CAPTIONS.validate(complete.catalog.load("captions"))
    tries = captions.groupby(["twin_id", "concept_id", "kind"])["tries"].agg(sorted)
    assert tries.tolist() == [list(range(1, 13))] * 16, "12 tries, four kinds, four sides"
    assert set(captions["verdict"]) <= {"rejected", "failed"}
    assert set(captions["reason"]) <= set(Reason)
    assert (captions["text"].isna() == (captions["verdict"] == "failed")).all()
    metrics = complete.catalog.load("captioning_metrics")
    assert metrics["in"] == sum(metrics["rejected"].values()) == 192
    assert metrics["sides_without_caption"] == 4
    spec = complete.catalog.load("run_manifest")["models"]["captioning.language_model.path"]["spec"]
    assert spec == "models/Qwen2.5-7B-Instruct"


def test_accepted_captions_become_judged_images(complete):
    captions = save_captions(complete)
    complete.run("synthesis", "filtering", synthesis=TINY, filtering=ON_CPU)

    accepted = captions[captions["verdict"] == "accepted"]
    requests = complete.catalog.load("image_requests")
    assert sorted(requests["caption_id"]) == sorted(accepted["caption_id"]), "one image a caption"
    images = complete.catalog.load("images").read()
    assert {image.size for image in images} == {(32, 32)}
    assert len({image.tobytes() for image in images}) == len(requests)
    assert complete.catalog.load("synthesis_metrics")["generated"] == len(requests)

    judgements = complete.catalog.load("judgements")
    assert set(judgements["judge"]) == {"vision_language", verdicts.DECISION}
    decided = verdicts.decisions(judgements)
    assert sorted(decided["image_id"]) == sorted(requests["image_id"])
    rated = judgements[judgements["judge"] == "vision_language"]
    assert rated[list(CRITERIA)].isin([1, 2, 3, 4, 5]).all(axis=None)
    refused = decided[decided["verdict"] != "accepted"]
    assert set(refused["reason"]) <= set(ImageReason)
    metrics = complete.catalog.load("filtering_metrics")
    assert metrics["in"] == metrics["kept"] + sum(metrics["rejected"].values()) == len(requests)
    assert set(complete.catalog.load("cultwin")["licence"]) <= {"LicenseRef-Stability-AI-Community"}


def test_the_generator_keeps_its_three_text_encoders_and_its_precision(models, merged):
    settings = merged["synthesis"]
    pipeline = load_text_to_image(models.parent / settings["model"], "cpu", settings["dtype"]).pipeline
    encoders = (pipeline.text_encoder, pipeline.text_encoder_2, pipeline.text_encoder_3)
    assert [type(e).__name__ for e in encoders] == [*["CLIPTextModelWithProjection"] * 2, "T5EncoderModel"]
    assert {str(part.dtype) for part in (*encoders, pipeline.transformer, pipeline.vae)} == {"torch.bfloat16"}


def test_the_trainee_keeps_quick_gelu_and_its_tokenizer(models, merged):
    encoder = load_encoder(models.parent / merged["train"]["base"])
    activations = {type(m.mlp.gelu).__name__ for m in encoder.model.modules() if hasattr(m, "mlp")}
    assert activations == {"QuickGELU"}
    assert encoder.tokenizer(["a kimono"]).shape == (1, 77)
