"""Findings of the machine, its packages and earlier runs, and how the table writes amounts."""

import json
from importlib.metadata import version
from pathlib import Path

import pytest

from cultureclip.models.named import NamedModel
from cultureclip.models.weights.parameter_counts import ParameterCounts
from cultureclip.readiness.disk import find_too_full, list_file_systems
from cultureclip.readiness.finding import Survey
from cultureclip.readiness.history import read_runs
from cultureclip.readiness.machine import Gpu, find_too_large
from cultureclip.readiness.plan import Work
from cultureclip.readiness.price import cost_of
from cultureclip.readiness.rates import Rate
from cultureclip.readiness.table import WIDTH, _total_row, _wrap, clock, tabulate
from cultureclip.readiness.versions import find_wrong_versions
from tests.support.parameters import change_stage, load_parameters

GPU = Gpu("cuda:0", "Small GPU", total=24 * 10**9, free=20 * 10**9)


@pytest.mark.parametrize(
    ("device", "dtype", "billions", "fits"),
    [
        ("cuda", "bfloat16", 8, True),
        ("cuda", "float32", 8, False),
        ("cuda:0", "bfloat16", 13, False),
        ("cuda:1", "float32", 80, True),
        ("cpu", "float32", 80, True),
        ("cuda", "quantised", 80, True),
    ],
)
def test_a_model_whose_weights_alone_are_too_large_is_found(device, dtype, billions, fits):
    """24 GB hold 8 billion parameters of 2 bytes; not of 4, nor 13 billion of 2. Another device is not judged."""
    model = NamedModel("synthesis.model", "m", device, dtype, counts=ParameterCounts(billions * 10**9, 0, 0))
    found = list(find_too_large([model], [GPU]))
    assert not found if fits else (found[0].where, "24.0 GB" in found[0].what) == ("synthesis.model", True)


def test_packages_that_are_missing_or_too_old_are_found_and_extras_are_not_asked_for():
    wanted = ["numpy>=1", "no-such-package>=2", "pandas>=999", 'ray>=2; extra == "ray"', 'x>=1; python_version < "3"']
    missing, old = find_wrong_versions(wanted)
    assert (missing.where, missing.remedy) == ("package no-such-package", "pip install 'no-such-package>=2'")
    assert version("pandas") in old.what
    assert "pandas>=999" in old.remedy
    assert list(find_wrong_versions()) == [], "this environment is the project's own"


def test_folders_of_one_file_system_share_its_room_and_need_not_exist(tmp_path: Path):
    (tmp_path / "a").mkdir()
    folders = {"a": tmp_path / "a", "b": tmp_path / "b/c/d"}
    (system,) = list_file_systems(folders, {"a": 1e3, "b": 1e20, "elsewhere": 1e20})
    assert system.place == tmp_path
    assert system.needed == pytest.approx(1e20)
    assert len(list(find_too_full([system]))) == 1
    (system,) = list_file_systems(folders, {"a": 1.0})
    assert list(find_too_full([system])) == []


def test_the_slowest_completed_run_with_the_same_settings_is_the_rate(tmp_path: Path):
    """Of two trainings one was found finished and took no time. Failed runs and other settings say nothing."""
    nodes = {"train.clip_both.s1.train_model": 60.0, "train.clip_both.s2.train_model": 0.1, "mining.read_concepts": 9.0}
    other = load_parameters()["train"] | {"base": "elsewhere"}
    runs = {
        "1": {"status": "completed", "parameters": load_parameters(), "node_seconds": nodes},
        "2": {"status": "failed", "parameters": load_parameters(), "node_seconds": dict.fromkeys(nodes, 9e9)},
        "3": {"status": "completed", "parameters": load_parameters() | {"train": other}, "node_seconds": nodes},
    }
    for name, content in runs.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "run_manifest.json").write_text(json.dumps({"run_id": name, **content}))
    (tmp_path / "4").mkdir()
    (tmp_path / "4/run_manifest.json").write_text("{")
    survey = Survey(None, {name: change_stage(name) for name in ("mining", "train")}, manifests=tmp_path)
    found = read_runs(survey)
    first = next(one for one in found if one.stage == "train" and one.how == "run 1")
    assert (first.items, first.seconds) == (120, 60.0)
    assert {one.how for one in found} == {"run 1", "run 3"}
    keys = {one.how: one.key for one in found if one.stage == "train"}
    assert keys["run 1"] != keys["run 3"]


def test_trainings_several_at_a_time_are_timed_together(tmp_path: Path):
    """The node that does them all takes their time; those of each training then only read the result."""
    nodes = {"train.train_together": 90.0, "train.clip_both.s1.train_model": 0.1, "train.clip_both.s2.train_model": 0.1}
    manifest = {"run_id": "1", "status": "completed", "parameters": load_parameters(), "node_seconds": nodes}
    (tmp_path / "1").mkdir()
    (tmp_path / "1/run_manifest.json").write_text(json.dumps(manifest))
    (found,) = read_runs(Survey(None, {"train": change_stage("train")}, manifests=tmp_path))
    assert (found.items, found.seconds) == (240, 90.0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "not known"), (1.5, "1.5 s"), (119, "119 s"), (7000, "117 min"), (125_000, "35 h"), (1e6, "11.6 d")],
)
def test_times_are_written_as_people_say_them(seconds, words):
    assert clock(seconds) == words


def test_a_sum_with_an_unknown_part_is_a_lower_bound():
    known = cost_of(Work(stage="synthesis", items=3600, unit="images", device="cuda"), Rate(seconds=1), 2.0)
    unknown = cost_of(Work(stage="train", items=10, unit="steps", device="cuda"), Rate(), 2.0)
    assert _total_row([known, unknown])[4:6] == ("> 60 min", "> 1")
    assert _total_row([known, unknown])[8] == "> 2"
    assert _total_row([known])[8] == "2"
    assert _total_row([unknown])[4] == "not known"


def test_columns_line_up_and_paths_are_not_broken():
    lines = tabulate(("name", "n"), [("a", "1"), ("long", "1,000")], right=(1,))
    assert lines == ["name      n", "-----------", "a         1", "long  1,000"]
    path = "/a-long-folder" * 7
    wrapped = _wrap("  fix   ", f"{'word ' * 20}{path}")
    assert any(line.strip() == path for line in wrapped)
    assert max(map(len, wrapped)) <= WIDTH
