"""The table of docs/speed.md, and the records that it is written from."""

import json
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[1]
RECORD = {"what": "a; b", "command": "bench/a.py", "result": "2 times", "machine": "M", "commit": "c1", "full": True}
PUT_TOGETHER = {"coverage", "judge_coverage", "engine", "photographs"}
"""Rows whose scripts put the names of their figures together."""


@pytest.fixture
def table(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    yield __import__("table")
    for name in ("table", "rows", "machine"):
        sys.modules.pop(name, None)


class Number(float):
    """A figure that is also an object of figures."""

    def __getitem__(self, name):
        return self


class Asked(dict):
    """Figures that remember which were asked for."""

    def __missing__(self, name):
        self[name] = Number(2)
        return self[name]


def test_every_row_reads_figures_that_its_script_prints(table):
    for row in table.ROWS:
        text = (ROOT / "bench" / row.script).read_text(encoding="utf-8")
        options = [argument.partition("=")[0] for argument in (*row.full, *(row.quick or ())) if argument[0] == "-"]
        assert [option for option in options if f'"{option}"' not in text] == [], row.name
        if row.name not in PUT_TOGETHER:
            asked = Asked()
            assert row.result(asked)
            assert [name for name in asked if f'"{name}"' not in text] == [], row.name
    assert len({row.name for row in table.ROWS}) == len(table.ROWS)


def test_coverage_rows_write_the_least_and_the_largest(table):
    of = {row.name: row.result for row in table.ROWS}
    figures = {"mean_10": [0.93, 0.95], "mean_30": [0.94, 0.96], "bootstrap_mean_10": [0.9, 0.91], "draws": 1000}
    assert "93.0 to 96.0 % of ours" in of["coverage"](figures).replace("our intervals", "ours")
    assert "90.0 to 91.0 % of the bootstrap's" in of["coverage"](figures)
    least = {
        "least_coverage_30_few": {"ours": 0.95, "judge": 0.1},
        "least_coverage_30_many": {"ours": 0.94, "judge": 0.2},
    }
    assert "ours 94.0 %, judge 10.0 %" in of["judge_coverage"](least)


def test_the_page_is_the_one_that_the_records_give(table):
    page = table.PAGE.read_text(encoding="utf-8")
    assert table.insert(page, table.render(table.read_records())) == page, "run: python bench/table.py --write"


def test_a_table_numbers_the_places_that_it_was_measured_on(table):
    rows = [table.Row(name, "", "", str) for name in ("a", "b", "c", "d")]
    records = {
        "c": RECORD | {"result": "x | y", "commit": "c2"},
        "a": RECORD,
        "b": RECORD | {"command": "bench/b.py --n=3"},
    }
    assert table.render(records, rows).splitlines() == [
        "| what, and against what | command | result | on |",
        "|---|---|---|---|",
        "| a; b | `bench/a.py` | 2 times | 1 |",
        "| a; b | `bench/b.py --n=3` | 2 times | 1 |",
        "| a; b | `bench/a.py` | x \\| y | 2 |",
        "",
        "Measured on:",
        "",
        "1. M; commit c1",
        "2. M; commit c2",
    ]


def test_what_is_between_the_markers_is_replaced_and_nothing_else(table):
    page = f"top\n{table.START}\nold\n{table.END}\nend\n"
    assert table.insert(page, "new") == f"top\n{table.START}\nnew\n{table.END}\nend\n"
    for broken in ("top", page.replace(table.START, ""), page + page):
        with pytest.raises(SystemExit, match="once each"):
            table.insert(broken, "new")


@pytest.mark.parametrize(
    ("before", "full", "replace", "kept"),
    [(True, False, False, False), (True, False, True, True), (True, True, False, True), (False, False, False, True)],
)
def test_a_quick_size_does_not_replace_the_full_one(table, before, full, replace, kept):
    records = {"a": RECORD | {"full": before}}
    assert table.keep(records, "a", RECORD | {"full": full, "result": "3 times"}, replace) == kept
    assert records["a"]["result"] == ("3 times" if kept else "2 times")


def run(table, tmp_path, text, seconds=None):
    script = tmp_path / "script.py"
    script.write_text(text)
    row = table.Row("a", "this; that", str(script), lambda f: f"{f['ratio']} times", full=("--n=9",), quick=("--n=1",))
    return table.run_row(row, row.arguments(full=False), seconds)


def test_a_run_is_recorded(table, tmp_path):
    text = "import json, sys\nprint('a line')\nprint(json.dumps({'ratio': len(sys.argv)}))"
    record = run(table, tmp_path, text)
    assert record["result"] == "2 times"
    assert record["figures"] == {"ratio": 2}
    assert not record["full"]
    assert json.loads(json.dumps(record)) == record
    assert record["machine"] and record["commit"]


@pytest.mark.parametrize(
    ("text", "cause"),
    [("raise SystemExit(3)", "exit code 3"), ("print('{}')", "no such figures"), ("pass", "no such figures")],
)
def test_a_failed_run_says_why_and_leaves_no_record(table, tmp_path, text, cause):
    assert cause in run(table, tmp_path, text)


def test_a_run_without_time_ends_with_all_its_processes(table, tmp_path):
    text = f"""
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(child.pid))
time.sleep(600)
"""
    began, seconds = time.monotonic(), 2
    while not (tmp_path / "pid").exists() and seconds < 100:  # a busy machine may not even have started the child
        assert run(table, tmp_path, text, seconds) == "no time left"
        seconds *= 3
    assert time.monotonic() - began < 300
    pid = int((tmp_path / "pid").read_text())
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:  # killed, not yet gone
        assert time.monotonic() - began < 300
        time.sleep(0.1)
