"""A group of training processes without ``torchrun``: forked from a server that has imported everything once."""

import multiprocessing
import os
import socket
import subprocess
import sys
from pathlib import Path

from cultureclip.clip.training import worker


def run_group(command: list[str], **_: object) -> subprocess.CompletedProcess:
    """What ``subprocess.run`` would do with a command of :func:`cultureclip.clip.training.launch.launch_command`."""
    sizes = dict(part.split("=") for part in command if "=" in part)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        place = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(free.getsockname()[1])}
    place["WORLD_SIZE"] = sizes["--nproc-per-node"]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    group = [
        context.Process(target=_work, args=(place | {"RANK": str(rank)}, command[-1]))
        for rank in range(int(place["WORLD_SIZE"]))
    ]
    for process in group:
        process.start()
    for process in group:
        process.join()
    return subprocess.CompletedProcess(command, max(abs(process.exitcode or 0) for process in group))


def _work(place: dict[str, str], folder: str) -> None:
    os.environ |= place
    sys.exit(worker.main(Path(folder)))
