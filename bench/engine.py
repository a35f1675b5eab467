"""A pool and a Ray cluster against one process, with work of a known cost: items that take a fixed time each.

Prints a row per kind and number of workers, and one JSON object at the end: ``efficiency`` at 2 workers (time of one
worker over twice the time of two, from the first results on, so that starts do not count), and ``overhead_ms``, the
time per slice of one worker beyond the work itself: the journal's and the pool's. The same of Ray with ``ray_``.

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


def measure(kind: str, workers: int, slices: int, seconds: float) -> float:
    """Seconds per slice: between the first result and the last, so the start of the processes does not count."""
    with tempfile.TemporaryDirectory() as folder:
        elsewhere = {} if kind == "local" else {"workers": workers, "threads": 1}
        settings = EngineSettings.model_validate({"kind": kind, "journal": Path(folder), **elsewhere})
        pieces = [Slice(f"{number:05}", number, 1) for number in range(slices)]
        job = Job("slices", pieces, partial(make_worker, seconds))
        times = [time.perf_counter() for _ in SharedWork(settings, "bench", "plan").run(job)]
    first = workers * 2  # all processes are at work by then
    return (times[-1] - times[first]) / (len(times) - 1 - first)


def main() -> None:
    """Measure one process, and pools and clusters of 1, 2 and 4 workers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--slices", type=int, default=60)
    parser.add_argument("--milliseconds", type=float, default=100)
    given = parser.parse_args()
    seconds = given.milliseconds / 1000
    print(describe_machine())
    places = [("local", 1), *((kind, workers) for kind in ("ray", "pool") for workers in (4, 2, 1))]
    took = {place: measure(*place, given.slices, seconds) for place in places}  # Ray makes room for four, once
    print("| engine | workers | ms per slice | efficiency |\n|---|---|---|---|")
    for (kind, workers), each in sorted(took.items()):
        print(f"| {kind} | {workers} | {1000 * each:.1f} | {seconds / (each * workers):.3f} |")
    figures = {}
    for kind, name in (("pool", ""), ("ray", "ray_")):
        figures[f"{name}efficiency"] = took[kind, 1] / (2 * took[kind, 2])
        figures[f"{name}overhead_ms"] = 1000 * (took[kind, 1] - seconds)
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
