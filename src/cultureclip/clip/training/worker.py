"""One process of a training on several: ``torchrun -m cultureclip.clip.training.worker <job folder>``.

The job folder holds everything a process needs; :mod:`cultureclip.clip.training.launch` writes it and starts the
processes of one machine. On further machines, run the same command over the same shared folder. In a Ray cluster, Ray
Train calls :func:`main` (:mod:`cultureclip.clip.training.ray_train`).
"""

import json
import os
import sys
from pathlib import Path

import torch
from filelock import FileLock
from pydantic import BaseModel, ConfigDict

from cultureclip.clip.data.batches import TwinData
from cultureclip.clip.data.replay import Replay
from cultureclip.clip.lora.adapter import LoraAdapter
from cultureclip.clip.objectives.losses import build_objective
from cultureclip.clip.settings import RunSettings
from cultureclip.clip.training.distributed import Group, joined_group
from cultureclip.clip.training.trainer import Trainer
from cultureclip.engine.atomic import replacing
from cultureclip.errors import CultureClipError
from cultureclip.models.encoder import load_encoder

GROUP_LOCK = ".group.lock"
"""Held in a training's folder by the leading process: a group can outlive the run that started it."""
JOB_NAME, ERROR_NAME = "job.json", "error.json"
_LOCK_SECONDS = 30
TRAIN_NAME, DEV_NAME, REPLAY_NAME = "train", "dev", "replay"


class Job(BaseModel):
    """One training as written to disk for its processes; its data are in folders beside it.

    Attributes:
        base: Directory of the base model.
        objective: Name of the loss.
        seed: Seed of everything random.
        settings: All other choices.
        folder: For training state and log.
        name: Shown on the progress bar.
        threads: Threads per process.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: Path
    objective: str
    seed: int
    settings: RunSettings
    folder: Path
    name: str
    threads: int


def build_trainer(job: Job, data_folder: Path, group: Group, device: str) -> Trainer:
    """Return a trainer for this process, from a job and its data."""
    encoder = load_encoder(job.base, device)
    adapter = LoraAdapter(encoder.model, job.settings.lora, job.seed)
    dev, replay = data_folder / DEV_NAME, data_folder / REPLAY_NAME
    return Trainer(
        encoder=encoder,
        adapter=adapter,
        objective=build_objective(job.objective, job.settings.objective),
        data=TwinData.load(data_folder / TRAIN_NAME),
        dev=TwinData.load(dev) if dev.exists() else None,
        replay=Replay.load(replay, encoder) if replay.exists() else None,
        settings=job.settings,
        seed=job.seed,
        folder=job.folder,
        name=job.name,
        group=group,
    )


def main(folder: Path) -> int:
    """Train; a process that stops at an error leaves it in the job's folder.

    Returns:
        The process's exit code.
    """
    job = Job.model_validate_json((folder / JOB_NAME).read_text(encoding="utf-8"))
    torch.set_num_threads(job.threads)
    device: str = job.settings.trainer.device
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    with joined_group(job.settings.launch.backend) as group:
        lock = FileLock(job.folder / GROUP_LOCK)
        if group.leads:
            lock.acquire(timeout=_LOCK_SECONDS)
        try:
            build_trainer(job, folder, group, device).run()
        except CultureClipError as error:
            with replacing(folder / ERROR_NAME) as temporary:  # the first to end ends the others
                record = {"type": type(error).__name__, "arguments": [error.item, error.cause, error.remedy]}
                temporary.write_text(json.dumps(record), encoding="utf-8")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
