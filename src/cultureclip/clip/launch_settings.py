"""Settings of the processes that a training runs on."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cultureclip.settings_base import Settings


class LaunchSettings(Settings):
    """On how many processes a training runs. One runs inside the pipeline; more are started as ``kind`` says.

    Attributes:
        kind: ``torchrun`` starts the processes of this machine. ``ray`` has Ray Train start them in a Ray cluster.
        processes: On this machine; of a cluster, in all.
        backend: Communication: ``gloo`` on CPUs, ``nccl`` on GPUs.
        nodes: Machines; on the others a person starts the worker over the same shared folder (docs/training.md).
        rendezvous: Meeting point of the machines, ``host:port``.
        cluster: Address of the Ray cluster; None: that of the environment variable ``RAY_ADDRESS``, and without it Ray
            is started on this machine.
    """

    kind: Literal["torchrun", "ray"] = "torchrun"
    processes: Annotated[int, Field(ge=1, le=1024)] = 1
    backend: Literal["gloo", "nccl"] = "gloo"
    nodes: Annotated[int, Field(ge=1, le=1024)] = 1
    rendezvous: Annotated[str, Field(pattern=r"^[^:]+:\d+$")] | None = None
    cluster: Annotated[str, Field(min_length=1)] | None = None

    @property
    def world(self) -> int:
        """Processes on all machines."""
        return self.processes * self.nodes

    @model_validator(mode="after")
    def _nodes_meet(self) -> Self:
        if (self.nodes > 1) != (self.rendezvous is not None):
            raise ValueError("nodes and rendezvous belong together: set both, or neither")
        return self

    @model_validator(mode="after")
    def _cluster_is_of_ray(self) -> Self:
        if self.kind == "ray" and (self.nodes > 1 or self.processes < 2):
            raise ValueError("kind: ray places the processes itself: set processes to 2 or more, and no nodes")
        if self.kind != "ray" and self.cluster is not None:
            raise ValueError("cluster is the address of a Ray cluster: set kind: ray")
        return self
