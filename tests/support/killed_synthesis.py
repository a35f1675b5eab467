"""Run synthesis in child processes that are killed with SIGKILL, then once to its end. Prints what each one left behind.

Usage: python -m tests.support.killed_synthesis <model> <store> <requests.parquet> <batch> <part> <delay> [<delay> ...]
"""

import os
import signal
import sys
import time
from pathlib import Path

import pandas as pd
import torch

from cultureclip.images.generation import GenerationSettings, generate_missing
from cultureclip.images.store import ShardStore
from cultureclip.models import text_to_image  # noqa: F401  (imported once, before the children are forked)
from tests.support.tiny_models import TINY_CALL


def main(model: str, store: str, requests: str, batch: str, part: str, *delays: str) -> None:
    """Kill a child after each delay (in seconds), then let one finish."""
    torch.set_num_threads(1)
    table = pd.read_parquet(requests)
    settings = GenerationSettings(Path(model), "cpu", "float32", None, TINY_CALL, int(batch), int(part))
    for delay in (*delays, None):
        child = os.fork()
        if child == 0:
            generate_missing(table, ShardStore(store), settings)
            os._exit(0)
        if delay is not None:
            time.sleep(float(delay))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status)
        if not killed and os.WEXITSTATUS(status):
            sys.exit(f"a child failed with status {status}")
        print("killed" if killed else "ended", len(ShardStore(store).present()), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
