"""Training on several processes, started by ``torchrun`` or by Ray Train from the process that the pipeline runs in.

The pipeline's own process never joins the group: a launcher would run the whole pipeline once per process.
"""

import json
import logging
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from cultureclip import errors
from cultureclip.clip.data.batches import TwinData
from cultureclip.clip.data.replay import Replay
from cultureclip.clip.launch_settings import LaunchSettings
from cultureclip.clip.training.ray_train import run_ray_train
from cultureclip.clip.training.worker import DEV_NAME, ERROR_NAME, GROUP_LOCK, JOB_NAME, REPLAY_NAME, TRAIN_NAME, Job
from cultureclip.engine.atomic import replacing
from cultureclip.errors import TrainingError

logger = logging.getLogger(__name__)

JOB_FOLDER = "job"


def launch_training(job: Job, data: TwinData, dev: TwinData | None, replay: Replay | None) -> None:
    """Train on the processes that the job's launch settings ask for; its folder then holds adapter and log.

    A training that was cut off goes on from its last saved state.

    Args:
        job: The training to run.
        data: Training rows.
        dev: Rows to choose the checkpoint on.
        replay: General pairs.

    Raises:
        TrainingError: if there are more processes than twins, or a process died.
        CultureClipError: if a process stopped at such an error.
    """
    if len(data.row_ids) < job.settings.launch.world:
        raise TrainingError(
            job.name,
            f"{len(data.row_ids)} rows of twins for {job.settings.launch.world} processes",
            "Set fewer processes in train.launch",
        )
    _refuse_survivors(job)
    folder = job.folder / JOB_FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    for name, part in ((TRAIN_NAME, data), (DEV_NAME, dev), (REPLAY_NAME, replay)):
        if part is not None:
            part.save(folder / name)
    with replacing(folder / JOB_NAME) as temporary:
        temporary.write_text(job.model_dump_json(indent=1), encoding="utf-8")
    launch = job.settings.launch
    end = STARTERS[launch.kind](job, folder)
    if (folder / ERROR_NAME).exists():
        record = json.loads((folder / ERROR_NAME).read_text(encoding="utf-8"))
        raise getattr(errors, record["type"])(*record["arguments"])
    if end is not None:
        raise TrainingError(
            job.name,
            f"a process of {launch.world} died: {end}",
            "Run again: it goes on from the last saved state. If memory ran out, set a smaller trainer.chunk",
        )
    shutil.rmtree(folder)


def _refuse_survivors(job: Job) -> None:
    """Return a run that is killed by itself leaves its group training: a second one would write the same files."""
    try:
        with FileLock(job.folder / GROUP_LOCK, timeout=0):
            pass
    except Timeout as error:
        raise TrainingError(
            job.name,
            f"processes that outlived their run still train in {job.folder}",
            "Stop them (torch.distributed.run), or wait for them; then run again",
        ) from error


def run_torchrun(job: Job, folder: Path) -> str | None:
    """Train on processes of this machine, and of others where a person starts them.

    Returns:
        How a process ended that did not end well; None if all did.
    """
    launch = job.settings.launch
    command = launch_command(launch, folder)
    if launch.nodes > 1:
        logger.info(
            "%s: start on each other machine, in this folder: %s", job.name, shlex.join(["python", *command[1:]])
        )
    code = subprocess.run(command, env=_environment(), check=False).returncode  # noqa: S603 (our own module)
    return f"exit code {code}, its last words are above" if code else None


STARTERS: dict[str, Callable[[Job, Path], str | None]] = {"torchrun": run_torchrun, "ray": run_ray_train}
"""``launch.kind`` -> what has processes work on a job's folder, waits for them, and says how one died."""


def launch_command(launch: LaunchSettings, folder: Path) -> list[str]:
    """Return the command that starts the processes of one machine; only paths differ between machines."""
    meeting = ["--standalone"]
    if launch.rendezvous is not None:
        meeting = ["--rdzv-backend=c10d", f"--rdzv-endpoint={launch.rendezvous}", f"--rdzv-id={folder.parent.name}"]
    sizes = [f"--nnodes={launch.nodes}", f"--nproc-per-node={launch.processes}"]
    return [
        *(sys.executable, "-m", "torch.distributed.run", *sizes, *meeting),
        *("-m", "cultureclip.clip.training.worker", str(folder.resolve())),
    ]


def threads_for(processes: int) -> int:
    """Return the threads per process, so that all together use as many as this process."""
    return max(1, torch.get_num_threads() // processes)


def _environment() -> dict[str, str]:
    """Return this process's environment with its import path and a thread count that keeps torchrun silent."""
    paths = os.pathsep.join(path for path in sys.path if path)
    return os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
