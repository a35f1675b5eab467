"""Kill runs of every stage with SIGKILL, run them again, and compare all that they leave with an undisturbed run.

Usage: python -m tests.soak.kills [--seed 0] [--kills 4] [--stages captioning,synthesis] [--folder <an empty folder>]

The project is small and its own. Each stage starts from the same state of it. It first runs twice undisturbed: what
then differs (times, ids of runs) is not compared. The other runs die at drawn passes of the points of
``tests/support/killing.py``, or at a drawn moment, in whichever process comes by: the run's own or a worker's. Prints a
row per stage and kind of engine and a table of hits; exits with 1 if anything differs.
"""

import argparse
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from safetensors import safe_open

from tests.support.killing import arm, count_calls, count_hits, disarm, write_hooks
from tests.support.tiny_llama import write_tiny_llama
from tests.test_whole_run import kedro, make_project

ENGINES = {
    "1 worker": "engine.kind=local",
    "3 workers": "engine.kind=pool,engine.workers=3,engine.threads=1",
    "Ray, 2 actors": "engine.kind=ray,engine.workers=2,engine.threads=1",
}
JOBS = ("captioning", "synthesis", "filtering")
STAGES = (*JOBS, "train", "evaluation", "reporting")
_SLICES = {  # several slices per job; captions by a model of random weights, which is fast and accepted by no check
    "captioning": (
        *("language_model.gguf_file=null", "language_model.dtype=float32", "language_model.batch=1"),
        *("kinds.plain.wanted=4", "max_tries=8"),
    ),
    "synthesis": ("batch_size=2", "part_size=4"),
    "filtering": ("batch=4",),
}
MOMENT = "any moment"
_SEPARATE = ("run_manifest.json", "logs", "jobs")


@dataclass
class Outcome:
    """What came of the kills of a stage under an engine."""

    hits: Counter[str]
    runs: int
    ends: int
    calls: Counter[str]
    differing: list[str]
    left: list[str]
    seconds: float


def run(project: Path, stage: str, engine: str, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start a stage."""
    changed = [f"{stage}.{change}" for change in _SLICES.get(stage, ())]
    if stage == "captioning":
        changed.append(f"captioning.language_model.path={project.parent / 'llama'}")
    command = [sys.executable, "-m", "kedro", "run", "--env=test", f"--pipelines={stage}"]
    command += ["--params", ",".join((*changed, engine, "engine.silent_s=10"))]
    variables = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"} | environment
    with (project / f"{stage}.log").open("ab") as log:
        return subprocess.Popen(command, cwd=project, env=variables, stdout=log, stderr=log)


def contents(project: Path) -> dict[str, object]:
    """What a project holds: newest versions of datasets, rows of answers, and bytes of the images' parts."""
    found: dict[str, object] = {}
    root = project / "data/test"
    for path in sorted(file for file in root.rglob("*") if file.is_file()):
        parts = path.relative_to(root).parts
        if any(part in _SEPARATE for part in parts):
            continue
        if path.suffix == ".sqlite":
            with closing(sqlite3.connect(path)) as connection:
                found["/".join(parts)] = sorted(connection.execute("SELECT key, value FROM answers"))
        elif path.suffix not in {".sqlite-wal", ".sqlite-shm"}:
            versions = [part for part in parts if part[:2] == "20" and part.endswith("Z")]
            here = root / Path(*parts[: parts.index(versions[0])]) if versions else None
            if here is None or versions[0] == max(p.name for p in here.iterdir() if p.name[:2] == "20"):
                name = "/".join("<version>" if part in versions else part for part in parts)
                found[name] = read_tensors(path) if path.suffix == ".safetensors" else path.read_bytes()
    return found


def read_tensors(path: Path) -> object:
    """Metadata and bytes of tensors: the library writes the metadata in an order of its own each time."""
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        metadata = file.metadata()
    return metadata, {
        name: (str(tensor.dtype), tensor.flatten().view(torch.uint8).numpy().tobytes())
        for name, tensor in tensors.items()
    }


def differences(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    """Names of what is not equal."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def finish(project: Path, stage: str, engine: str, environment: Mapping[str, str]) -> float:
    """Run a stage to its end; returns its seconds."""
    started = time.monotonic()
    process = run(project, stage, engine, environment)
    if process.wait():
        sys.exit(f"{stage} with {engine} ended with {process.returncode}: see {project / f'{stage}.log'}")
    return time.monotonic() - started


@dataclass
class Undisturbed:
    """What a stage does when nobody kills it.

    Attributes:
        holds: What the project then holds.
        noise: Names of what differs between two such runs.
        passes: How often each point is passed.
        seconds: How long it takes.
    """

    holds: Mapping[str, object]
    noise: set[str]
    passes: Counter[str]
    seconds: float


def run_twice(base: Path, stage: str) -> tuple[Undisturbed, Path]:
    """Run a stage twice from one state; the second return value is the project after it."""
    watched = base.with_name(f"undisturbed-{stage}-watched")
    environment, held, seconds, copies = write_hooks(watched), [], [], []
    for number in range(2):
        copies.append(base.with_name(f"undisturbed-{stage}-{number}"))
        shutil.copytree(base, copies[-1])
        seconds.append(finish(copies[-1], stage, ENGINES["1 worker"], environment))
        held.append(contents(copies[-1]))
    shutil.rmtree(copies[1])
    passes = Counter({point: -(-count // 2) for point, count in count_hits(watched).items()})
    return Undisturbed(held[0], set(differences(*held)), passes, min(seconds)), copies[0]


def kill_at_a_moment(process: "subprocess.Popen[bytes]", seconds: float, draw: random.Random) -> int:
    """Kill the run or one of its workers after some seconds; 0 if it has ended by then."""
    time.sleep(seconds)
    if process.poll() is not None:
        return 0
    try:
        below = psutil.Process(process.pid).children(recursive=True)
        workers = [child.pid for child in below if "python" in child.name() or child.name().startswith("ray::")]
        os.kill(draw.choice([process.pid, *workers]), signal.SIGKILL)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return 0
    return 1


def kill_at_points(
    process: "subprocess.Popen[bytes]", watched: Path, most: int, passes: Counter[str], draw: random.Random
) -> Counter[str]:
    """Kill whoever passes a drawn point, again and again while the run lives: it replaces a dead worker."""
    hits: Counter[str] = Counter()
    while True:
        point = draw.choice(sorted(passes))
        arm(watched, point, draw.randint(1, passes[point]))
        while process.poll() is None and (watched / "plan").exists():
            time.sleep(0.02)
        if not disarm(watched):
            hits[point] += 1
        if process.poll() is not None or hits.total() >= most:
            process.wait()
            return hits


def try_engine(base: Path, stage: str, label: str, kills: int, usual: Undisturbed, draw: random.Random) -> Outcome:
    """Kill a stage under an engine, and run it again until it ends; compare each time that it does, and start anew."""
    project = base.with_name(f"killed-{stage}-{label.replace(' ', '_')}")
    watched = project.with_name(f"{project.name}-watched")
    environment, started = write_hooks(watched), time.monotonic()
    outcome = Outcome(Counter(), 0, 0, Counter(), [], [], 0.0)
    while True:
        if not project.exists():
            shutil.copytree(base, project)
        lacking = kills - outcome.hits.total()
        process = run(project, stage, ENGINES[label], environment)
        outcome.runs += 1
        if lacking > 0 and draw.random() < 0.2:
            outcome.hits[MOMENT] += kill_at_a_moment(process, draw.uniform(0.3, 0.9) * usual.seconds, draw)
        elif lacking > 0:
            outcome.hits += kill_at_points(process, watched, lacking, usual.passes, draw)
        if process.wait() == 0:
            found = differences(usual.holds, contents(project))
            outcome.ends += 1
            outcome.differing += sorted(set(found) - usual.noise)
            left = [str(path.relative_to(project)) for path in (project / "data").rglob(".*.tmp")]
            outcome.left += [name for name in left if "run_manifest.json/" not in name]  # a dead run's own folder
            outcome.calls += most_calls(watched)
            shutil.rmtree(project)
            if outcome.hits.total() >= kills:
                outcome.seconds = time.monotonic() - started
                return outcome
        elif lacking <= 0:
            sys.exit(f"{stage} with {label} ended with {process.returncode}: see {project / f'{stage}.log'}")


def most_calls(watched: Path) -> Counter[str]:
    """How many items were made how often since the last look, by that number."""
    counted = Counter(f"{count} times" if count > 1 else "once" for count in count_calls(watched).values())
    (watched / "calls").write_text("", encoding="utf-8")
    return counted


def describe(stage: str, label: str, outcome: Outcome) -> str:
    """A row of the table of stages."""
    made = ", ".join(f"{outcome.calls[times]} {times}" for times in sorted(outcome.calls, reverse=True)) or "-"
    equal = f"DIFFERS: {', '.join(outcome.differing)[:300]}" if outcome.differing else "equal"
    left = ", ".join(f"`{name}`" for name in outcome.left) or "none"
    cells = (stage, label, outcome.hits.total(), outcome.runs, outcome.ends, made, equal, left)
    return f"| {' | '.join(map(str, cells))} | {outcome.seconds:.0f} |"


def main() -> int:
    """Kill every stage."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=5, help="per stage and kind of engine")
    parser.add_argument("--stages", default=",".join(STAGES))
    parser.add_argument("--folder", type=Path, default=None)
    given = parser.parse_args()
    folder, draw = given.folder or Path(tempfile.mkdtemp(prefix="kills-")), random.Random(given.seed)
    base, chosen = folder / "state", given.stages.split(",")
    base.mkdir(parents=True)
    make_project(base)
    write_tiny_llama(folder / "llama")
    run_as_configured(base, "mining")
    header = "stage | engine | kills | runs | ends compared | results made | compared | leftovers | seconds"
    print(f"| {header} |\n|{'---|' * 9}", flush=True)
    points: Counter[str] = Counter()
    noise: set[str] = set()
    wrong = 0
    for stage in STAGES[: 1 + max(map(STAGES.index, chosen))]:
        after = base
        if stage in chosen:
            usual, after = run_twice(base, stage)
            noise |= usual.noise
            for label in ENGINES if stage in JOBS else ("1 worker",):
                outcome = try_engine(base, stage, label, given.kills, usual, draw)
                points.update(outcome.hits)
                wrong += bool(outcome.differing or outcome.left)
                print(describe(stage, label, outcome), flush=True)
        if stage not in chosen or stage == "captioning":
            after = base  # without the model of random weights, whose captions nothing follows from
            run_as_configured(base, stage)
        base = after
    print("\n| point | hits |\n|---|---|")
    for point, count in sorted(points.items()):
        print(f"| {point} | {count} |")
    print(f"\n{points.total()} kills, {wrong} wrong. Not compared, since two undisturbed runs differ: {sorted(noise)}")
    return int(wrong > 0)


def run_as_configured(project: Path, stage: str) -> None:
    """Run a stage in a state, for the stages behind it."""
    made = kedro(project, "run", "--env=test", f"--pipelines={stage}")
    if made.returncode:
        sys.exit(made.stdout[-2000:] + made.stderr[-2000:])


if __name__ == "__main__":
    sys.exit(main())
