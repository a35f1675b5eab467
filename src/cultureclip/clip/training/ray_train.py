"""Training on the workers of a Ray cluster: Ray Train starts the processes that ``torchrun`` starts elsewhere."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread, main_thread

from cultureclip.clip.training.worker import Job, main
from cultureclip.engine.cluster import connect

_LOGS = "ray"
"""Folder of Ray Train's own files in a job's folder."""


def run_ray_train(job: Job, folder: Path) -> str | None:
    """Train on workers of a cluster, which must have the project's folder and its data at the same path.

    Returns:
        How a worker ended that did not end well; None if all did.

    Raises:
        ConfigurationError: if there is no cluster at the address.
    """
    launch = job.settings.launch
    connect(launch.cluster, launch.processes * job.threads)
    import ray
    from ray.train import RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig, TorchTrainer

    # A Ray that an earlier job started here may lend fewer CPUs; they are shared out then, instead of waited for.
    lent: float = ray.cluster_resources().get("CPU", 0)  # type: ignore[no-untyped-call]
    cpus = min(job.threads, lent / launch.processes)
    trainer = TorchTrainer(
        _train_here,
        train_loop_config={"project": str(Path.cwd()), "folder": str(folder.resolve())},
        torch_config=TorchConfig(backend=launch.backend),
        scaling_config=ScalingConfig(
            num_workers=launch.processes,
            use_gpu=job.settings.trainer.device == "cuda",
            resources_per_worker={"CPU": cpus},
        ),
        run_config=RunConfig(name=_LOGS, storage_path=str(folder.resolve())),
    )
    try:
        with _own_interrupts():
            trainer.fit()
    except TrainingFailedError as error:
        lines = [line for line in str(error).split("\n") if line.strip() and not line[0].isspace()]
        return lines[-1]  # of a traceback the error, without what it says in further lines
    return None


def _train_here(where: Mapping[str, str]) -> None:
    """Be one process of a training; an error of one worker ends the others.

    Args:
        where: Paths of the ``project``, to which Ray does not bring its workers, and of the job's ``folder``.
    """
    os.chdir(where["project"])
    if main(Path(where["folder"])):
        raise RuntimeError("it stopped at an error, which is in the job's folder")


@contextmanager
def _own_interrupts() -> Iterator[None]:
    """Restore this process's answer to interrupts, which Ray Train replaces for good."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if current_thread() is main_thread():
            signal.signal(signal.SIGINT, before)
