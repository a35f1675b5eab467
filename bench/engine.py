"""The pool against one process, with work of a known cost: items that take a fixed time each.

Prints a row per number of workers, and one JSON object at the end: ``efficiency`` at 2 workers (time of one worker over
twice the time of two, start of the processes left out by the difference of two amounts of work), and
``overhead_ms``, the journal's and the pool's time per slice beyond the work itself.

    python bench/engine.py [--slices 60] [--milliseconds 100]
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from machine import describe_machine

from cultureclip.engine.job import Job, Slice
from cultureclip.engine.run import SharedWork
from cultureclip.engine.settings import EngineSettings
from cultureclip.settings_base import Device


def make_worker(seconds: float, device: Device | None) -> Callable[[int], Iterator[int]]:  # noqa: ARG001
    """A worker that waits: it costs no processor, so the other work of the machine is not measured."""
    return partial(_wait, seconds)


def _wait(seconds: float, task: int) -> Iterator[int]:
    time.sleep(seconds)
    yield task


def measure(workers: int, slices: int, seconds: float) -> float:
    """Seconds per slice: between the first result and the last, so the start of the processes does not count."""
    with tempfile.TemporaryDirectory() as folder:
        engine = {"kind": "pool", "workers": workers} if workers else {"kind": "local"}
        settings = EngineSettings.model_validate({**engine, "journal": Path(folder)})
        pieces = [Slice(f"{number:05}", number, 1) for number in range(slices)]
        job = Job("slices", pieces, partial(make_worker, seconds))
        times = [time.perf_counter() for _ in SharedWork(settings, "bench", "plan").run(job)]
    first = max(workers, 1) * 2  # all processes are at work by then
    return (times[-1] - times[first]) / (len(times) - 1 - first)


def main() -> None:
    """Measure one process, and pools of 1, 2 and 4."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--slices", type=int, default=60)
    parser.add_argument("--milliseconds", type=float, default=100)
    given = parser.parse_args()
    seconds = given.milliseconds / 1000
    print(describe_machine())
    took = {workers: measure(workers, given.slices, seconds) for workers in (0, 1, 2, 4)}
    print("| workers | ms per slice | efficiency |\n|---|---|---|")
    for workers, each in took.items():
        label = workers or "this process"
        print(f"| {label} | {1000 * each:.1f} | {seconds / (each * max(workers, 1)):.3f} |")
    figures = {"efficiency": took[1] / (2 * took[2]), "overhead_ms": 1000 * (took[1] - seconds)}
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
