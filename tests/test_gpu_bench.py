"""The script for a machine with a GPU: on a CPU in small shapes, and what it says where there is no GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run_script(*options: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, str(ROOT / "bench" / "gpu.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(scope="module")
def whole() -> dict:
    done = run_script("--device", "cpu", "--tiny", "--seconds", "3000")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_every_part_runs_to_its_end(whole):
    assert {name: part["ended"] for name, part in whole["parts"].items()} == dict.fromkeys(
        ("correctness", "train_b32", "synthesis", "chunks", "train_l14", "group"), "done"
    )


def test_what_is_compared_is_equal_and_what_is_timed_took_time(whole):
    figures = [{"part": name, **row} for name, part in whole["parts"].items() for row in part["figures"]]
    assert len(figures) > 20
    assert all(row["ok"] for row in figures if "ok" in row)
    exact = [row for row in figures if "gradient_difference" in row and "compiled" not in row["what"]]
    assert {row["part"] for row in exact} == {"train_b32", "train_l14", "chunks", "group"}
    assert max(row["gradient_difference"] for row in exact) < 1e-2
    assert all(row["seconds"] > 0 for row in figures if "seconds" in row)
    rates = {row["what"] for row in figures if "images_per_second" in row}
    assert {"plain", "compile", "offload model", "text_encoders offloaded", "8-bit weights"} <= rates


def test_a_part_that_is_cut_off_is_said_to_be_and_the_others_get_no_time():
    done = run_script("--device", "cpu", "--tiny", "--seconds", "2", "--parts", "train_b32", "synthesis")
    parts = json.loads(done.stdout.splitlines()[-1])["parts"]
    assert [part["ended"] for part in parts.values()] == ["cut off", "no time"]


def test_without_a_gpu_it_says_so():
    done = run_script()
    assert done.returncode == 1
    assert "No GPU: torch sees no cuda here" in done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"gpu": None, "parts": {}}
