"""What a busy neighbour costs a training step, with OpenMP's own way of waiting and with ours.

    python bench/busy_neighbour.py [--seconds 20] [--neighbours 1]

Trains transformer blocks of pocket's size on all cores, first alone and then beside processes that compute on one core
each, with GNU OpenMP's default way of waiting and with the project's (``cultureclip.engine.threads``), in turn. A fair
share of C cores beside N neighbours is C / (C + N) of them. Prints a table and, as its last line, one JSON object:
``slowdown`` and ``slowdown_default`` are seconds a step beside the neighbours over seconds alone, ``fair`` is what the
share alone costs, ``idle_ratio`` is seconds a step alone of our way over the default's.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

from machine import describe_machine

STEP = """
import sys, time, torch
blocks = torch.nn.Sequential(*[torch.nn.TransformerEncoderLayer(160, 4, 640, batch_first=True) for _ in range(4)])
x, until, steps = torch.randn(64, 37, 160), 0.0, 0
blocks(x).sum().backward()
start = time.perf_counter()
while time.perf_counter() - start < float(sys.argv[1]):
    blocks(x).sum().backward()
    steps += 1
print((time.perf_counter() - start) / steps)
"""
BUSY = "while True: sum(range(10_000))"
OURS, DEFAULT = "from cultureclip.engine.threads import wait_asleep; wait_asleep()\n", ""


def time_step(way: str, seconds: float, neighbours: int) -> float:
    """Return the seconds of a step, in a process of its own, beside so many busy ones."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_", "KMP_"))}
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(neighbours)]
    try:
        done = subprocess.run(
            [sys.executable, "-c", way + STEP, str(seconds)], env=clean, check=True, capture_output=True, text=True
        )
    finally:
        for process in busy:
            process.kill()
            process.wait()
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--neighbours", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    taken: dict[tuple[str, int], list[float]] = {}
    for _ in range(arguments.rounds):
        for name, way in (("ours", OURS), ("default", DEFAULT)):
            for count in (0, arguments.neighbours):
                taken.setdefault((name, count), []).append(time_step(way, arguments.seconds, count))
    median = {key: statistics.median(times) for key, times in taken.items()}
    for (name, count), seconds in median.items():
        print(f"{name:8} {count} neighbours {seconds * 1000:9.1f} ms a step  {time.strftime('%H:%M')}")
    cores = os.cpu_count() or 1
    print(
        json.dumps(
            {
                "slowdown": round(median["ours", arguments.neighbours] / median["ours", 0], 2),
                "slowdown_default": round(median["default", arguments.neighbours] / median["default", 0], 2),
                "fair": round((cores + arguments.neighbours) / cores, 2),
                "idle_ratio": round(median["ours", 0] / median["default", 0], 3),
                "machine": describe_machine(),
            }
        )
    )


if __name__ == "__main__":
    main()
