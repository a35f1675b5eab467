"""The default pipeline from a table of concepts to the report, in a project of its own, with the shipped models."""

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient
from PIL import Image

from cultureclip.pipeline_registry import STAGES

ROOT = Path(__file__).parents[1]
NAMES = (
    *("flag of " + n for n in ("Ireland", "Côte d’Ivoire", "Mali", "Guinea", "Indonesia", "Poland", "Chad", "Romania")),
    *("flag of " + n for n in ("Italy", "Mexico", "Japan", "Bangladesh")),
    *("kimono", "sari", "torii", "mosque", "taco", "doner kebab", "hanami dango", "yen banknote", "dollar banknote"),
    *("pound banknote", "oni", "tengu", "bagel", "ring doughnut", "jiaozi", "fortune cookie", "matcha", "mate"),
)


def kedro(project: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kedro", *arguments]
    environment = os.environ | {"COLUMNS": "200", "OMP_NUM_THREADS": "1"} | variables
    return subprocess.run(
        command, cwd=project, capture_output=True, text=True, env=environment, timeout=900, check=False
    )


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return kedro(project, "run", "--env=test", *arguments)


def newest(project: Path, name: str) -> Path:
    return max(project.glob(f"data/test/*/{name}/*/{name}"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("project"))


def make_project(folder: Path) -> Path:
    """Fill an empty folder with a project of few concepts."""
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
    (folder / "src").mkdir()  # the package itself is installed
    (folder / "conf/local").mkdir()
    (folder / "data/01_raw").mkdir(parents=True)
    atlas = pd.read_csv(ROOT / "data/01_raw/atlas.csv", dtype=str, keep_default_na=False)
    chosen = atlas[atlas.name.isin(NAMES)]
    assert len(chosen) == len(NAMES), set(NAMES) - set(chosen.name)
    chosen.to_csv(folder / "data/01_raw/atlas.csv", index=False)
    return folder


@pytest.mark.parametrize("option", ["--pipelines=synthesis", "--pipeline=synthesis"])
def test_a_stage_alone_in_a_fresh_project_stops_before_work_and_says_what_to_run(project: Path, option: str):
    result = run(project, option)
    output = " ".join(result.stdout.split() + result.stderr.split())
    assert result.returncode != 0
    assert "concepts: it has not been made yet" in output
    assert "kedro run --pipelines=mining" in output
    assert "Running node" not in output


def test_a_negative_count_stops_before_work(project: Path):
    result = run(project, "--params", "synthesis.images_per_caption=-1")
    output = result.stdout + result.stderr
    assert result.returncode != 0
    assert "images_per_caption" in output
    assert "Running node" not in output


def test_the_whole_line_runs_and_a_second_run_makes_nothing_again(project: Path):
    first = run(project)
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr[-3000:]
    report = newest(project, "report")
    overview = (report / "index.html").read_text(encoding="utf-8")
    assert re.search(r"CultureCLIP (at 0\.\d+ )?is ", overview)
    assert "The rule" in overview
    assert "A small run." in overview
    latest = (report.parents[1] / "latest/index.html").read_text(encoding="utf-8")
    assert f"../{report.parent.name}/report/index.html" in latest
    assert "flag of Ireland" in (report / "gallery/index.js").read_text(encoding="utf-8")
    first_figures = json.loads(newest(project, "synthesis_metrics.json").read_text())
    assert first_figures["generated"] > 0
    first_scores = pd.read_parquet(newest(project, "scores.parquet"))
    assert set(first_scores.part) == {"dev", "test"}

    second = run(project)
    assert second.returncode == 0, second.stdout[-3000:] + second.stderr[-3000:]
    assert json.loads(newest(project, "synthesis_metrics.json").read_text())["generated"] == 0
    pd.testing.assert_frame_equal(first_scores, pd.read_parquet(newest(project, "scores.parquet")))
    assert len(list(project.glob("data/test/*/scores.parquet/*"))) == 2

    manifest = json.loads(newest(project, "run_manifest.json").read_text())
    assert manifest["status"] == "completed"
    assert manifest["data_hashes"]["atlas"]


def test_kedro_viz_shows_every_stage_and_previews_of_a_table_and_a_picture(project: Path):
    built = kedro(project, "viz", "build", "--include-previews", KEDRO_ENV="test")  # it has no --env
    assert "Success" in built.stdout, built.stdout[-3000:] + built.stderr[-3000:]  # a failed build ends with 0, too
    graph = json.loads((project / "build/api/main").read_text(encoding="utf-8"))
    assert set(STAGES) <= set(graph["modular_pipelines"])
    flow = ["raw", "primary", "feature", "model_input", "models", "model_output", "reporting"]
    assert [layer for layer in graph["layers"] if layer in flow] == flow  # empty when layers go round in a circle
    ids = {node["name"]: node["id"] for node in graph["nodes"] if node["type"] == "data"}

    def preview(name: str) -> Any:
        return json.loads((project / "build/api/nodes" / ids[name]).read_text(encoding="utf-8"))["preview"]

    scores = pd.read_parquet(newest(project, "scores.parquet"))
    assert preview("scores")["columns"] == list(scores.columns)
    assert len(preview("scores")["data"]) == len(scores.head(20))
    assert Image.open(io.BytesIO(base64.b64decode(preview("contact_sheet")))).format == "PNG"


def test_the_notebook_runs_on_what_the_run_left(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KEDRO_ENV", "test")
    notebook = nbformat.read(ROOT / "notebooks/quickstart.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(project)}}).execute()
    printed = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("twins" in output.get("text", "") for output in printed)
    assert any("image/png" in output.get("data", {}) for output in printed)
