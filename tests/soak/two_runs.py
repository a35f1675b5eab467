"""Start pairs of `kedro run --env=test` within five seconds of each other in one project, and say what each loaded.

Usage: python -m tests.soak.two_runs [--pairs 30] [--seed 0] [--folder <an empty folder>]

The project is small and its own. It is filled by one whole run, which takes a minute or two. Each pair then draws two
pipelines, parameters and a pause. A pair is right when each run completes, or stops before any work with a reason; when
each loads only its own versions and those that were there when it started; and when no temporary file is left. Prints a
Markdown row per pair; exits with 1 if a pair is wrong.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from tests.test_whole_run import make_project

PIPELINES = (
    *("mining", "captioning", "synthesis", "filtering", "train", "evaluation", "reporting"),
    *("data", "__default__"),
)
PARAMETERS = ("", "filtering.min_images_per_side=1", "captioning.max_tries=2", "evaluation.resamples=2000")
_REASON = re.compile(r"^Error: ")


class Run(NamedTuple):
    """A run that was started, and the file that its output goes to."""

    process: "subprocess.Popen[str]"
    log: Path


def start(project: Path, pipeline: str, parameters: str) -> Run:
    """Start a run."""
    arguments = ["run", "--env=test", f"--pipelines={pipeline}", *(["--params", parameters] if parameters else [])]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    log = project / f"{time.time_ns()}.log"
    with log.open("w", encoding="utf-8") as output:
        command = [sys.executable, "-m", "kedro", *arguments]
        process = subprocess.Popen(command, cwd=project, stdout=output, stderr=output, env=environment, text=True)
    return Run(process, log)


def read_manifests(project: Path) -> dict[str, dict[str, Any]]:
    """Manifests of all runs, by run id."""
    files = project.glob("data/test/08_reporting/run_manifest.json/*/run_manifest.json")
    return {file.parent.name: json.loads(file.read_text(encoding="utf-8")) for file in files}


def judge(run: Run, manifest: dict[str, Any] | None, found: Collection[str]) -> tuple[str, bool]:
    """Say how a run ended, and whether that is right.

    Args:
        run: The run, ended.
        manifest: Its own; None if it stopped before any work.
        found: Ids of the runs that had ended when it started.
    """
    if manifest is None:
        reasons = [line.strip() for line in run.log.read_text(encoding="utf-8").splitlines() if _REASON.search(line)]
        return f"refused: {reasons[-1][:160] if reasons else '?'}", run.process.returncode != 0 and bool(reasons)
    versions = manifest["load_versions"]
    own = sum(version == manifest["run_id"] for version in versions.values())
    foreign = {name: v for name, v in versions.items() if v != manifest["run_id"] and v not in found}
    told = f"{manifest['status']}, loaded {own} own and {len(versions) - own} found"
    told += f", FOREIGN {foreign}" if foreign else ""
    told += f", {manifest['error'][:160]}" if manifest["error"] else ""
    return told, manifest["status"] == "completed" and run.process.returncode == 0 and not foreign


def run_pair(project: Path, draw: random.Random) -> tuple[str, bool]:
    """Run a pair and describe it in a row of a Markdown table."""
    before, began, pause = read_manifests(project), time.monotonic(), draw.uniform(0, 5)
    chosen = [(draw.choice(PIPELINES), draw.choice(PARAMETERS)) for _ in range(2)]
    runs = [start(project, *chosen[0])]
    time.sleep(pause)
    runs.append(start(project, *chosen[1]))
    for run in runs:
        run.process.wait()
    new = {i: manifest for i, manifest in read_manifests(project).items() if i not in before}
    cells, right = [], True
    for run, (pipeline, parameters) in zip(runs, chosen, strict=True):
        mine = next((manifest for manifest in new.values() if manifest["process"] == run.process.pid), None)
        ended = {i for i, m in new.items() if mine and m["updated"] <= mine["started"]}  # within the pause
        told, good = judge(run, mine, before.keys() | ended)
        cells.append(f"`{pipeline}` {parameters}: {told}")
        right &= good
    left = [str(path.relative_to(project)) for path in project.rglob(".*.tmp")]
    row = f"| {cells[0]} | {pause:.1f} s | {cells[1]} | {left or 'none'} | {time.monotonic() - began:.0f} s |"
    return row, right and not left


def main() -> int:
    """Run the pairs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=None)
    given = parser.parse_args()
    project = make_project(given.folder or Path(tempfile.mkdtemp(prefix="two-runs-")))
    first = start(project, "__default__", "")
    if first.process.wait():
        print(first.log.read_text(encoding="utf-8")[-3000:])
        return 1
    print("| first | pause | second | leftovers | took |\n|---|---|---|---|---|", flush=True)
    draw, wrong = random.Random(given.seed), 0
    for _ in range(given.pairs):
        row, right = run_pair(project, draw)
        print(row + ("" if right else " WRONG"), flush=True)
        wrong += not right
    print(f"\n{given.pairs} pairs, {wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
