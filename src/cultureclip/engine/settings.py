"""Settings of the engine: where the work of a stage runs, and how it is shared."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PlainSerializer, ValidatorFunctionWrapHandler, WrapValidator, model_validator

from cultureclip.engine.files import open_place
from cultureclip.errors import ConfigurationError
from cultureclip.settings_base import Device, Settings


def _open_place(value: Any, follow: ValidatorFunctionWrapHandler) -> Path:
    """Return a folder's path: for an address with a protocol one that behaves like a path."""
    if "://" not in str(value):
        path: Path = follow(value)
        return path
    try:
        return open_place(str(value))
    except ConfigurationError as error:
        raise ValueError(str(error)) from error


Place = Annotated[Path, WrapValidator(_open_place), PlainSerializer(str, when_used="json")]
"""A folder of this machine, a shared disk or an object store."""


class EngineSettings(Settings):
    """How a stage's items are worked through. Nothing here changes a result.

    Attributes:
        kind: ``local``: in this process. ``pool``: in processes of their own, each with a model of its own. ``ray``:
            in actors of a Ray cluster.
        devices: Devices of the workers, e.g. ``[cuda:0, cuda:1]``; empty: the device that the stage names. A cluster
            shares GPUs out itself, one per actor: ``[cuda]``.
        workers: Workers per device; of a cluster, in all.
        threads: Threads of each worker on the CPU; None: an even share of this machine's cores.
        cluster: Address of the Ray cluster; None: that of the environment variable ``RAY_ADDRESS``, and without it Ray
            is started on this machine.
        task: Number of this run among ``tasks``, from 0: the share of the work with which it begins.
        tasks: Runs that were started to do the work together, such as the tasks of a Slurm array.
        retry: ``failed`` takes up the items that failed in an earlier run; None leaves them.
        tries: How often an item is tried whose worker dies or hangs, before it counts as failed.
        silent_s: Seconds without a sign of life after which the holder of an item counts as dead. A sign comes every
            tenth of this.
        reuse: Whether a stage of which nothing has changed is taken from the run that made its newest versions.
        journal: Folder of the jobs' journals, also one that fsspec opens, such as ``s3://bucket/jobs``. None: nobody
            shares the work, and an item that fails ends the run.
    """

    kind: Literal["local", "pool", "ray"] = "local"
    devices: tuple[Device, ...] = ()
    workers: int = Field(default=1, ge=1, le=256)
    threads: int | None = Field(default=None, ge=1)
    cluster: str | None = Field(default=None, min_length=1)
    task: int = Field(default=0, ge=0)
    tasks: int = Field(default=1, ge=1)
    retry: Literal["failed"] | None = None
    tries: int = Field(default=3, ge=1)
    silent_s: float = Field(default=60.0, gt=0)
    reuse: bool = True
    journal: Place | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.task >= self.tasks:
            raise ValueError(f"task {self.task} of {self.tasks}: tasks are counted from 0 to {self.tasks - 1}")
        if self.tasks > 1 and self.journal is None:
            raise ValueError("tasks share their work through a journal: name its folder")
        if self.kind == "local" and (self.devices or self.workers > 1 or self.threads):
            raise ValueError("devices, workers and threads are of workers elsewhere: set kind: pool or kind: ray")
        if self.kind == "ray":
            self._fits_ray()
        elif self.cluster is not None:
            raise ValueError("cluster is the address of a Ray cluster: set kind: ray")
        return self

    def _fits_ray(self) -> None:
        if find_spec("ray") is None:
            raise ValueError("kind: ray needs the package ray: pip install 'cultureclip[ray]'")
        if len(self.devices) > 1 or any(":" in device for device in self.devices):
            raise ValueError("a cluster shares its GPUs out, one per worker: set devices: [cuda] and the workers")
        if self.journal is None:
            raise ValueError("nodes tell of their work through a journal: name a folder that all of them have")

    @property
    def places(self) -> list[Device | None]:
        """The device of each process of the pool; None is the stage's own."""
        return [device for device in self.devices or (None,) for _ in range(self.workers)]

    @property
    def threads_each(self) -> int:
        """Threads of each worker on the CPU."""
        return self.threads or max(1, (os.cpu_count() or 1) // len(self.places))

    @property
    def here(self) -> "EngineSettings":
        """The same in this process, for work that has no use for others."""
        return self.model_copy(update={"kind": "local", "devices": (), "workers": 1, "threads": None, "cluster": None})


HERE = EngineSettings()
"""In this process, and shared with nobody."""
