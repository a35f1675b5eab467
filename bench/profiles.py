"""Where the time goes: one training step by operator, ours and the released way, and a finished run by stage.

    python bench/profiles.py [--twins 16] [--threads 2] [--manifest FILE]

The step is that of ``bench/train_step.py`` in fp32, the second one, profiled by PyTorch: the 15 operators that take the
most time themselves, and how often each was called. A run's nodes are timed by the run itself, in its manifest; by
default the newest one is read, and without one there is no table of stages. Prints tables in Markdown and, as its last
line, one JSON object.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from machine import describe_machine
from torch.profiler import ProfilerActivity, profile
from train_step import Ways

ROOT = Path(__file__).parents[1]
MANIFESTS = "data/08_reporting/run_manifest.json/*/run_manifest.json"
SHOWN = 15


def profile_step(step: Callable[[], float]) -> list[tuple[str, float, int]]:
    """Return (operator, milliseconds of its own, calls) of a step, the longest first."""
    step()
    with profile(activities=[ProfilerActivity.CPU]) as found:
        step()
    rows = [(event.key, event.self_cpu_time_total / 1000, event.count) for event in found.key_averages()]
    return sorted(rows, key=lambda row: -row[1])


def show_step(way: str, rows: list[tuple[str, float, int]]) -> None:
    """Print a table."""
    total = sum(milliseconds for _, milliseconds, _ in rows)
    print(f"\n| operator, {way} | ms | share | calls |\n|---|---|---|---|")
    for name, milliseconds, calls in rows[:SHOWN]:
        print(f"| `{name}` | {milliseconds:,.0f} | {100 * milliseconds / total:.1f} % | {calls:,} |")
    print(f"| all {len(rows)} | {total:,.0f} | 100 % | {sum(calls for *_, calls in rows):,} |")


def add_up(manifest: Path) -> dict[str, float]:
    """Return the seconds of each stage of a run: those of its nodes, also where nodes ran side by side."""
    seconds: Counter[str] = Counter()
    for node, took in json.loads(manifest.read_text(encoding="utf-8"))["node_seconds"].items():
        seconds[node.partition(".")[0]] += took
    return dict(seconds.most_common())


def show_stages(stages: dict[str, float]) -> None:
    """Print a table."""
    total = sum(stages.values())
    print("\n| stage | s | share |\n|---|---|---|")
    for stage, took in (*stages.items(), ("all", total)):
        print(f"| {stage} | {took:,.1f} | {100 * took / total:.1f} % |")


def main() -> None:
    """Profile a step, and read a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--twins", type=int, default=16)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--manifest", type=Path, default=max(ROOT.glob(MANIFESTS), default=None))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(describe_machine())
    steps = Ways(options.twins).steps
    found = {way: profile_step(steps[way]) for way in ("fp32", "released")}
    for way, rows in found.items():
        show_step("ours" if way == "fp32" else "the released way", rows)
    stages = add_up(options.manifest) if options.manifest else {}
    if stages:
        show_stages(stages)
    totals = {f"{way}_ms": round(sum(row[1] for row in rows), 1) for way, rows in found.items()}
    print(json.dumps({**totals, "twins": options.twins, "threads": options.threads, "stages": stages}))


if __name__ == "__main__":
    main()
