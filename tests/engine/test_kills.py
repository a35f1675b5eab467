"""A short, seeded subset of ``tests/soak/kills.py``: deaths between write, rename and entry, then a rerun."""

import os
import random
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from cultureclip.engine.settings import EngineSettings
from tests.support.jobs import PER_SLICE, calls
from tests.support.killing import arm, count_hits, disarm, write_hooks

ROOT = Path(__file__).parents[2]
ITEMS = 24
POINTS = (
    *("slice claimed", "file written, not renamed", "file renamed, no entry yet"),
    *("entry written, not renamed", "entry renamed, lease still held"),
)


def run(folder: Path, settings: EngineSettings, environment: Any) -> int:
    command = [sys.executable, "-m", "tests.support.jobs", str(folder), settings.model_dump_json(), str(ITEMS), "0.01"]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, check=False).returncode


@pytest.mark.parametrize(("kind", "points"), [("local", 5), ("pool", 3), ("ray", 1)], ids=str)
def test_a_death_at_any_point_then_a_rerun_gives_every_item_and_repeats_a_slice_at_most(tmp_path, kind, points):
    if kind == "ray" and not find_spec("ray"):
        pytest.skip("ray is not installed")
    draw, elsewhere = random.Random(15), {} if kind == "local" else {"workers": 3, "threads": 1}
    watched, folder = tmp_path / "watched", tmp_path / "files"
    environment = write_hooks(watched)
    settings = EngineSettings(journal=tmp_path / "jobs", silent_s=5.0, kind=kind, **elsewhere)
    died = 0
    for point in draw.sample(POINTS, points):
        for old in (*folder.glob("*"), Path(f"{folder}.calls")):
            old.unlink(missing_ok=True)
        arm(watched, point, draw.randint(1, ITEMS // PER_SLICE))
        run(folder, settings, environment)
        died += not disarm(watched)
        assert run(folder, settings, environment) == 0
        assert {path.name: path.read_text() for path in folder.glob("[0-9]*")} == {
            item: item for item in (f"{number:03}" for number in range(ITEMS))
        }, point
        again = {item: count for item, count in Counter(calls(folder)).items() if count > 1}
        assert len(again) <= PER_SLICE and set(again.values()) <= {2}, point
    assert died == points, count_hits(watched)
