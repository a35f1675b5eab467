"""What a run prints and keeps as its log, and how errors end the command."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DatasetError
from kedro.pipeline import Node, Pipeline

from cultureclip.cli import explain
from cultureclip.errors import SourceDataError
from cultureclip.run_log import LogFile, StageLines

from .support.benchmark_files import write_pictures
from .test_hooks import ROOT, Workplace

BROKEN_ATLAS = "concept,culture\nkimono,Japan\n"


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


def kedro(workplace: Workplace, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kedro", "run", "--conf-source", str(workplace.conf), *options]
    environment = {**os.environ, "COLUMNS": "40"}  # a narrow terminal: no path may be broken over lines
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def logs(workplace: Workplace) -> list[Path]:
    return sorted((workplace.data / "08_reporting" / "logs").iterdir())


def test_a_stage_prints_one_line_and_its_log_file_names_every_node(workplace: Workplace) -> None:
    workplace.fill()
    done = kedro(workplace, "--pipelines=filtering")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    (stage,) = [line for line in lines if line.startswith("filtering ")]
    table = pd.read_parquet(next((workplace.data / "05_model_input" / "cultwin.parquet").glob("*/*")))
    assert "-> " in stage
    assert f"cultwin {len(table)}" in stage.split("-> ")[1] or not len(table)
    assert lines[-1] == f"Log: {logs(workplace)[-1]}"
    assert not [line for line in lines if "Loading data" in line or "INFO" in line]
    log = logs(workplace)[-1].read_text()
    assert {"filtering.judge_images", "filtering.select_twins"} <= set(log.replace("\n", " ").split())


def test_a_measurement_prints_its_table_and_where_its_results_are(workplace: Workplace, tmp_path: Path) -> None:
    write_pictures(tmp_path, ["a.png", "b.png"])
    rows = "image,caption,negative_caption\na.png,a red fan,a blue fan\nb.png,a drum,a bell\n"
    (tmp_path / "own.csv").write_text(rows)
    entry = {
        "type": "cultureclip.datasets.benchmark_dataset.BenchmarkDataset",
        "filepath": str(tmp_path / "own.csv"),
        **{"name": "own", "title": "Own", "protocol": "sugarcrepe", "format": {"type": "csv"}},
        **{"source": "here", "licence": "CC0-1.0"},
    }
    local = workplace.conf / "local"
    (local / "catalog.yml").write_text(json.dumps({"benchmark_own": entry}))
    parameters = {"benchmarks": ["own"], "general_benchmarks": [], "models": {}}
    (local / "parameters.yml").write_text(json.dumps({"evaluation": parameters}))
    done = kedro(workplace, "--pipelines=measure")
    assert done.returncode == 0, done.stderr
    assert "| Own accuracy" in done.stdout
    (results,) = [line for line in done.stdout.split("\n") if line.startswith("Results: ")]
    assert Path(results.removeprefix("Results: ")).is_dir()
    assert "-> measure.predictions 2" in done.stdout


def test_an_error_inside_a_node_is_three_lines_and_the_traceback_is_in_the_log(workplace: Workplace) -> None:
    (workplace.data / "01_raw").mkdir(parents=True)
    (workplace.data / "01_raw" / "atlas.csv").write_text(BROKEN_ATLAS)
    failed = kedro(workplace, "--pipelines=mining")
    assert failed.returncode == 1
    first, second, third = failed.stderr.splitlines()
    log = logs(workplace)[-1]
    assert first.startswith("Error: ")
    assert second.startswith("  fix: ")
    assert third == f"  log: {log}"
    assert "Traceback (most recent call last)" in log.read_text()
    assert "Traceback" not in failed.stdout


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ("--pipelines=nosuch", "'nosuch'"),
        ("--params=mining.nosuch=3", "nosuch"),
        ("--nodes=x.y", "x.y"),
    ],
)
def test_what_cannot_run_is_refused_without_a_traceback(workplace: Workplace, option: str, named: str) -> None:
    refused = kedro(workplace, "--pipelines=mining" if "pipelines" not in option else option, option)
    assert refused.returncode == 1
    assert named in refused.stderr
    assert "Traceback" not in refused.stderr + refused.stdout
    assert not (workplace.data / "08_reporting" / "logs").exists()


def test_an_error_is_found_under_kedro_s_own_and_a_bug_keeps_its_traceback() -> None:
    ours = SourceDataError("atlas.csv, line 3", "too many cells", "Remove one")
    wrapped = DatasetError("Failed while loading data")
    wrapped.__cause__ = ours
    wrapped.add_note("log: /x.log")
    expected = ["Error: atlas.csv, line 3: too many cells", "  fix: Remove one", "  log: /x.log"]
    assert explain(wrapped) == expected
    assert explain(KeyError("a bug")) is None


def test_two_runs_in_one_process_do_not_write_into_each_other_s_log(tmp_path: Path) -> None:
    from contextvars import copy_context

    voice = logging.getLogger("cultureclip.voice")
    voice.setLevel(logging.DEBUG)
    files = {name: (copy_context(), tmp_path / "logs" / name) for name in ("a", "b")}
    opened = {name: context.run(LogFile, path, name) for name, (context, path) in files.items()}
    for name, (context, _) in files.items():
        context.run(voice.warning, "of %s", name)
    voice.warning("of nobody")
    for name, (context, path) in files.items():
        context.run(opened[name].close)
        other = {"a": "b", "b": "a"}[name]
        text = path.read_text()
        assert (f"of {name}" in text, f"of {other}" in text, "of nobody" in text) == (True, False, True)


def test_a_log_that_cannot_be_written_costs_one_warning_and_not_the_run(workplace: Workplace) -> None:
    workplace.fill()
    (workplace.data / "08_reporting").mkdir()
    (workplace.data / "08_reporting" / "logs").write_text("a file where the folder should be")
    done = kedro(workplace, "--pipelines=filtering")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("has no log file") == 1
    assert "Log: " not in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
def test_a_full_disk_is_said_once_by_the_log(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    log = LogFile(Path("/dev/full"), "x")
    for number in range(3):
        logging.getLogger("cultureclip.voice").warning("record %d", number)
    log.close()
    said = [record.getMessage() for record in caplog.records if "is not complete" in record.getMessage()]
    assert len(said) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_a_run_that_the_user_stops_says_so_and_its_manifest_too(workplace: Workplace) -> None:
    (workplace.data / "01_raw").mkdir(parents=True)
    for name in ("atlas.csv", "titles.csv"):
        shutil.copy(ROOT / "data/01_raw" / name, workplace.data / "01_raw")
    command = [sys.executable, "-m", "kedro", "run", "--conf-source", str(workplace.conf), "--pipelines=mining"]
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    folder, limit = workplace.data / "08_reporting" / "logs", time.monotonic() + 120
    while not (folder.exists() and "ask_about_titles reads" in "".join(f.read_text() for f in folder.iterdir())):
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < limit
        time.sleep(0.1)
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=180)
    (manifest,) = workplace.manifests()
    assert run.returncode == 130
    stopped = ["Stopped. The same command goes on from what is stored.", f"  log: {logs(workplace)[-1]}"]
    assert said.split("\n")[-3:-1] == stopped
    assert manifest["status"] == "interrupted"
    assert "KeyboardInterrupt" in logs(workplace)[-1].read_text()


def test_a_wrong_parameter_is_named_with_its_value_and_a_likely_name(workplace: Workplace) -> None:
    workplace.fill()
    refused = kedro(workplace, "--pipelines=filtering", "--params=filtering.min_images_per_sid=1,filtering.batch=0")
    assert refused.returncode == 1
    first, second, third, fourth = refused.stderr.splitlines()
    assert {first, third} == {
        "Error: filtering.min_images_per_sid: Extra inputs are not permitted (it is 1)",
        "Error: filtering.batch: Input should be greater than or equal to 1 (it is 0)",
    }
    assert "  fix: Did you mean filtering.min_images_per_side?" in (second, fourth)


def test_the_line_of_a_stage_counts_rows_from_outside_and_comes_after_its_last_node() -> None:
    def first(given: pd.DataFrame) -> pd.DataFrame:
        return given

    nodes = [
        Node(first, "given", "stage.made", name="first", namespace="stage"),
        Node(first, "stage.made", "result", name="second", namespace="stage"),
    ]
    lines = StageLines(Pipeline(nodes))
    given, made, result = (pd.DataFrame({"x": range(rows)}) for rows in (3000, 20, 1))
    lines.start_node(nodes[0], {"given": given})
    assert lines.stop_node(nodes[0], {"stage.made": made}, 1.0) is None
    lines.start_node(nodes[1], {"stage.made": made})
    line = lines.stop_node(nodes[1], {"result": result}, 0.5)
    assert line is not None
    assert line.split("  ")[-1] == "given 3,000 -> result 1"
