"""Run synthesis in child processes that are killed with SIGKILL, then once to its end. Prints what each left behind.

A kill comes when a child has created a random number of files, and a random moment later: so it hits the work however
busy the machine is.

Usage: python -m tests.support.killed_synthesis <model> <store> <requests.parquet> <batch> <part> <kills> <seed>
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import pandas as pd
import torch

from cultureclip.images.generation import generate_missing
from cultureclip.images.store import ShardStore
from cultureclip.models.diffusion import text_to_image  # noqa: F401  (imported once, before the children are forked)
from tests.support.tiny_models import tiny_settings


def main(model: str, store: str, requests: str, batch: str, part: str, kills: str, seed: str) -> None:
    """Kill some children, then let one finish."""
    torch.set_num_threads(1)
    table, rng = pd.read_parquet(requests), random.Random(int(seed))
    settings = tiny_settings(model, batch_size=int(batch), part_size=int(part))
    for attempt in range(int(kills) + 1):
        child = os.fork()
        if child == 0:
            generate_missing(table, ShardStore(store), settings)
            os._exit(0)
        if attempt < int(kills):
            _wait_for_files(Path(store), count_files(Path(store)) + rng.randrange(6))
            time.sleep(rng.uniform(0, 0.02))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status):
            sys.exit(f"a child failed with status {status}")
        print("killed" if os.WIFSIGNALED(status) else "ended", len(ShardStore(store).present()), flush=True)


def count_files(folder: Path) -> int:
    """Files of any kind, temporary ones included."""
    return sum(len(files) for _, _, files in os.walk(folder))


def _wait_for_files(folder: Path, count: int, patience_s: float = 60.0) -> None:
    end = time.monotonic() + patience_s
    while count_files(folder) < count and time.monotonic() < end:
        time.sleep(0.0005)


if __name__ == "__main__":
    main(*sys.argv[1:])
