"""What stops a run before any work: damaged models, models in the wrong role, versions that do not exist."""

import shutil
from pathlib import Path

import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Node, Pipeline
from pydantic import ValidationError

from cultureclip.errors import ConfigurationError, MissingInputError, WeightsError
from cultureclip.models.named import find_models, locate_models
from cultureclip.pipelines.measure import create_pipeline as create_measure
from cultureclip.preflight import check_roles, read_stages
from cultureclip.provenance import walk
from cultureclip.settings_base import Settings

from .support.parameters import change_stage, load_parameters
from .support.tiny_clip import write_tiny_clip
from .support.tiny_llama import write_tiny_llama
from .support.tiny_models import write_tiny_sd3
from .support.tiny_vision import write_tiny_llava
from .test_hooks import ROOT, VERSION, Workplace, identity, place  # noqa: F401 - a fixture

TUNES = Pipeline([Node(identity, "params:evaluation", "checkpoint_clip_s1", name="tune_model")])
"""Makes a checkpoint."""


def test_damaged_weights_stop_the_run_and_the_parameter_and_the_file_are_named(place, tmp_path):  # noqa: F811
    place.fill()
    judge = write_tiny_clip(tmp_path / "judge")
    weights = judge / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=rf"filtering\.judge: {weights}: not a whole safetensors file.*again"):
        place.run("filtering", filtering={"judge": str(judge)})
    assert place.manifests() == []


def test_a_gguf_file_is_looked_for_beside_the_path_that_names_its_folder(tmp_path):
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    captioning = change_stage("captioning", language_model={"path": str(tmp_path), "gguf_file": "x.gguf"})
    with pytest.raises(WeightsError, match=r"captioning\.language_model\.path: .*x\.gguf: not a whole GGUF file"):
        locate_models({"captioning": captioning})


def test_a_run_from_another_folder_stops_and_says_where_to_go(place, tmp_path, monkeypatch):  # noqa: F811
    place.fill()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=rf"working directory {tmp_path}: .*cd {ROOT}"):
        place.run("filtering")
    assert place.manifests() == []


def test_a_sentence_encoder_is_looked_for_too(tmp_path):
    mining = change_stage("mining", sentence_encoder=str(tmp_path / "nowhere"))
    with pytest.raises(WeightsError, match=r"mining\.sentence_encoder: .*nowhere"):
        locate_models({"mining": mining})


def test_a_model_of_another_kind_is_refused(tmp_path):
    clip, llama, sd3 = write_tiny_clip(tmp_path / "c"), write_tiny_llama(tmp_path / "l"), write_tiny_sd3(tmp_path / "s")
    found = locate_models({"synthesis": change_stage("synthesis", model=str(sd3))})
    assert found == {"synthesis.model": {"spec": str(sd3), "path": str(sd3)}}
    for name, key, wrong, marker in (
        ("synthesis", "model", clip, "model_index.json"),
        ("filtering", "judge", llama, "open_clip_config.json"),
        ("train", "base", sd3, "open_clip_config.json"),
    ):
        with pytest.raises(WeightsError, match=rf"{name}\.{key}: {wrong / marker}: no such file"):
            locate_models({name: change_stage(name, **{key: str(wrong)})})


def test_models_beside_the_base_are_checked_too(tmp_path):
    clip = write_tiny_clip(tmp_path / "clip")
    bare = f"open_clip:ViT-B-32/openai@{clip / 'open_clip_model.safetensors'}"
    found = locate_models(
        {"evaluation": change_stage("evaluation", base_model=str(clip), models={"tiny": str(clip), "bare": bare})}
    )
    assert {name: model["path"] for name, model in found.items()} == {
        "evaluation.base_model": str(clip),
        "evaluation.models.tiny": str(clip),
        "evaluation.models.bare": str(clip / "open_clip_model.safetensors"),
    }
    with pytest.raises(WeightsError, match=r"evaluation\.models\.x: .*nowhere"):
        locate_models({"evaluation": change_stage("evaluation", models={"x": f"open_clip:a/b@{tmp_path}/nowhere"})})


def test_a_stage_with_wrong_parameters_that_does_not_run_hides_no_other():
    stages = read_stages({"filtering": {"batch": "many"}, "leaderboard": {"results": ["x"], "metrics": []}})
    assert set(stages) == {"leaderboard"}


def test_every_model_of_the_configuration_is_found_by_its_type():
    """The independent reference are the texts: all that stand under a key or scheme that means a model."""
    for env in ("base", "paper"):
        parameters = load_parameters(env)
        schemes, keys = (
            ("package:", "hf:", "models/"),
            ("model", "base", "base_model", "judge", "path", "sentence_encoder"),
        )
        named = {
            path: value
            for path, value in walk(parameters)
            if isinstance(value, str) and (value.startswith(schemes) or path.rpartition(".")[2] in keys)
        }
        assert find_models(read_stages(parameters)) == named


def roles(judge: Path, base: Path, compared: Path) -> dict[str, Settings]:
    return {
        "mining": change_stage("mining", judge=str(judge)),
        "filtering": change_stage("filtering", judge=str(judge)),
        "train": change_stage("train", base=str(base)),
        "evaluation": change_stage("evaluation", base_model=str(compared)),
    }


def test_no_model_judges_its_own_training_not_even_a_copy_of_it(tmp_path):
    judge, base = write_tiny_clip(tmp_path / "judge"), write_tiny_clip(tmp_path / "base", seed=1)
    copied = Path(shutil.copytree(base, tmp_path / "copy"))
    check_roles(TUNES, roles(judge, base, copied))
    check_roles(TUNES, roles(judge, tmp_path / "not on this machine", base))
    for same in (base, copied):
        with pytest.raises(ConfigurationError, match=r"mining\.judge.*the weights of train\.base.*Name another model"):
            check_roles(TUNES, roles(same, base, base))
    with pytest.raises(ConfigurationError, match=r"filtering\.judge.*evaluation\.base_model"):
        judged_by_base = {"filtering": change_stage("filtering", judge=str(base))}
        check_roles(TUNES, roles(judge, tmp_path / "nowhere", base) | judged_by_base)
    with pytest.raises(ConfigurationError, match=r"evaluation\.base_model.*tuned is another model"):
        check_roles(TUNES, roles(judge, base, write_tiny_clip(tmp_path / "third", seed=2)))


def test_a_measurement_compares_with_any_model(tmp_path):
    judge, base, third = (write_tiny_clip(tmp_path / str(seed), seed=seed) for seed in range(3))
    measure = create_measure(["crope"])
    check_roles(measure, roles(judge, base, third))
    check_roles(measure, roles(judge, base, judge))


def test_a_run_with_the_trainee_as_judge_stops(place):  # noqa: F811
    place.fill()
    with pytest.raises(ConfigurationError, match=r"filtering\.judge"):
        place.run("filtering", filtering={"judge": "package:cultureclip/pocket/weights/base_clip"})
    assert place.manifests() == []


def test_a_version_that_does_not_exist_is_named_beside_those_that_do(place):  # noqa: F811
    place.fill()
    shutil.rmtree(place.data / "03_primary/twins.parquet")
    bootstrap_project(ROOT)
    for dataset, remedy in (
        ("concepts", f"There are 1, the nearest {VERSION}, the latest {VERSION}"),
        ("twins", "None"),
    ):
        with (
            KedroSession.create(ROOT, conf_source=str(place.conf)) as session,
            pytest.raises(MissingInputError) as caught,
        ):
            session.run(pipeline_names=["filtering"], load_versions={dataset: "2026-01-01T00.00.00.001Z"})
        assert caught.value.item == f"--load-versions {dataset}:2026-01-01T00.00.00.001Z"
        assert caught.value.cause == "there is no such version"
        assert remedy in caught.value.remedy
    assert place.manifests() == []


def test_all_missing_models_are_named_at_once_with_the_page_that_says_how_to_get_them() -> None:
    stages = {
        "captioning": change_stage("captioning", language_model={"path": "models/nosuch-a", "gguf_file": None}),
        "synthesis": change_stage("synthesis", model="models/nosuch-b"),
    }
    with pytest.raises(WeightsError, match=r"captioning.*nosuch-a.*synthesis\.model: models/nosuch-b.*docs/paper\.md"):
        locate_models(stages)


@pytest.mark.parametrize(
    ("removed", "missing"),
    [(("preprocessor_config.json", "processor_config.json"), "image processor"), (("token", "vocab"), "tokenizer")],
)
def test_a_hugging_face_folder_without_its_companions_is_refused_before_any_work(
    tmp_path: Path, removed: tuple[str, ...], missing: str
) -> None:
    folder = write_tiny_llava(tmp_path / "model")
    locate_models({"evaluation": change_stage("evaluation", models={"x": str(folder)})})
    for file in folder.iterdir():
        if file.name.startswith(removed):
            file.unlink()
    with pytest.raises(WeightsError, match=rf"evaluation\.models\.x: .*it has no {missing}"):
        locate_models({"evaluation": change_stage("evaluation", models={"x": str(folder)})})


@pytest.mark.parametrize(
    ("name", "message"),
    [("x_s1", "_s<number> at the end is reserved"), ("base", "reserved for base_model"), ("a b", "letters, digits")],
)
def test_names_of_further_models_that_are_reserved_are_said_to_be(name: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        change_stage("evaluation", models={name: "models/x"})
