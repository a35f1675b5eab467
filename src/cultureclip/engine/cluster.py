"""Work through a job with the actors of a Ray cluster; a worker or a whole node that dies costs only its slices.

Only leases, tasks and counts travel. Workers read and store through the shared folder that holds the data, as every
other kind of worker does.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

from cultureclip.engine.board import Board
from cultureclip.engine.crew import Crew, Message, Seat, WorkerDiedError, use_threads, work_through
from cultureclip.engine.job import Job, Result, Slice, Task
from cultureclip.engine.journal import Lease
from cultureclip.engine.settings import EngineSettings
from cultureclip.errors import ConfigurationError
from cultureclip.settings_base import CPU, Device

logger = logging.getLogger(__name__)

_RAY_ADDRESS = "RAY_ADDRESS"
_STORE_BYTES = 128 * 1024**2
"""Of the object store of a Ray that is started here: no picture and no table goes through it."""


def run_ray(board: Board[Task, Result]) -> Iterator[Result]:
    """Work through a job's slices, one actor per place of the settings.

    An actor that the cluster has no room for yet has no slice, so the others do the work meanwhile, and an autoscaler
    sees what is asked for.

    Args:
        board: Hands out the slices.

    Yields:
        The workers' results, slice by slice.

    Raises:
        ConfigurationError: if there is no cluster at the address.
        JobError: if workers die at whatever they begin, or without a journal if a slice fails.
    """
    settings = board.settings
    connect(settings.cluster, len(settings.places) * settings.threads_each)
    places = settings.places[: len(board.job.slices)]
    crew = Crew(board, [_Seat(board.job, device, settings) for device in places], _wait)
    try:
        yield from crew.run()
    finally:
        crew.close()


def connect(address: str | None, cpus: int) -> None:
    """Connect to a cluster, or start one on this machine; the connection lasts until the process ends.

    Args:
        address: The cluster's; None: that of the environment variable ``RAY_ADDRESS``, and without it Ray is started.
        cpus: CPUs that the work asks for in all; a Ray that is started here lends at least so many.

    Raises:
        ConfigurationError: if there is no cluster at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # an actor without a GPU keeps its environment
    import ray

    if ray.is_initialized():
        return
    address = address or os.environ.get(_RAY_ADDRESS)
    options: dict[str, Any] = {"address": address}
    if address is None:
        cores = max(os.cpu_count() or 1, cpus)
        options = {"num_cpus": cores, "object_store_memory": _STORE_BYTES, "include_dashboard": False}
    try:
        ray.init(**options, log_to_driver=False, logging_level=logging.WARNING)
    except (ConnectionError, RuntimeError, ValueError) as error:
        remedy = "Start the cluster (ray start --head), or leave cluster out to start Ray on this machine"
        raise ConfigurationError(f"cluster {address}", f"Ray cannot be reached ({error})", remedy) from error


def _wait(lines: list[Any], seconds: float) -> Sequence[Any]:
    import ray

    done: Sequence[Any] = ray.wait(lines, num_returns=1, timeout=seconds)[0]
    return done


class _Seat(Seat[Task]):
    """A place in a cluster: its actor, which is replaced when it or its node dies."""

    def __init__(self, job: Job[Task, Any], device: Device | None, settings: EngineSettings) -> None:
        super().__init__()
        self._arguments = (Path.cwd(), job.preload, job.make_worker, device, settings.silent_s, settings.threads_each)
        self._actor: Any = None
        self._line: Any = None

    @property
    def is_free(self) -> bool:
        """Whether its actor runs and has no slice."""
        return self.work is None and self.is_ready

    @property
    def line(self) -> Any:
        """What the actor answers next."""
        return self._line

    def prepare(self) -> None:
        """Ask the cluster for an actor, unless there is one."""
        if self._actor is not None:
            return
        import ray

        _, _, _, device, _, threads = self._arguments
        actor = ray.remote(_Worker).options(num_cpus=threads, num_gpus=int(device not in (None, CPU)))
        self._actor = actor.remote(*self._arguments)
        self._line = self._actor.greet.remote()

    def begin(self, lease: Lease, piece: Slice[Task]) -> None:
        """Hand a slice to the actor."""
        self._line = self._actor.do.remote(lease, piece.task)

    def hear(self) -> Sequence[Message]:
        """Return all that the actor says of its slice."""
        import ray

        line, self._line = self._line, None
        try:
            said: Sequence[Message] = ray.get(line)
        except ray.exceptions.RayError as error:
            raise WorkerDiedError(str(error)) from error
        return said

    def stop(self) -> str:
        """End the actor."""
        self.close()
        return "its worker, or the node of it, ended"

    def close(self) -> None:
        """End the actor: what it holds is stored slice by slice."""
        import ray

        if self._actor is not None:
            ray.kill(self._actor)
        self._actor = self._line = None


class _Worker:
    """An actor: it has what is imported from its start, and the model from its first slice.

    Args:
        folder: Project's folder, from which the paths of the configuration lead.
        preload: Modules to import.
        make_worker: Builds the job's worker.
        device: Device; the cluster gives each actor GPUs of its own. None: the stage's own.
        silent_s: Seconds without a sign of life after which it counts as dead.
        threads: Threads on the CPU.
    """

    def __init__(
        self,
        folder: Path,
        preload: Sequence[str],
        make_worker: Callable[[Device | None], Callable[[Any], Iterable[Any]]],
        device: Device | None,
        silent_s: float,
        threads: int,
    ) -> None:
        os.chdir(folder)
        if device in (None, CPU):
            use_threads(threads)
        for module in preload:
            import_module(module)
        self._worker, self._silent_s = cache(partial(make_worker, device)), silent_s

    def greet(self) -> list[Message]:
        """Say that it has started."""
        return [("ready", None)]

    def do(self, lease: Lease, task: Any) -> list[Message]:
        """Do a slice; returns its results, which are counts, and how it went."""
        return list(work_through(lease, task, self._silent_s, self._worker))
