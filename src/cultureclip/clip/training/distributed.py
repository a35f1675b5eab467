"""A group of processes that train one model: the shares of the embedding, and sums over all processes.

Every process holds the whole model and draws the same batch; each embeds its own share. Embeddings and gradients are
summed over the group, so that all see the loss of the whole batch and take the same step.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

T = TypeVar("T")


@dataclass(frozen=True)
class Group:
    """This process's place among ``size`` processes; a group of one needs no communication."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and evaluates on the dev twins."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Return this process's rows of ``count``; shares are contiguous and differ by one row at most."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def sum(self, tensor: Tensor) -> Tensor:
        """Return sum over the group, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum every parameter's gradient over the group; a process without one counts as zero."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad)

    def from_leader(self, make: Callable[[], T]) -> T:
        """Return the leading process's result of ``make`` in every process; the others do not call it."""
        box: list[Any] = [make() if self.leads else None]
        if self.size > 1:
            dist.broadcast_object_list(box)
        value: T = box[0]
        return value


@contextmanager
def joined_group(backend: str) -> Iterator[Group]:
    """Join the group that this process was started for, and leave it in the end.

    ``torchrun`` says in the environment which group that is. A worker of Ray Train is in its group already, and Ray
    takes it out.

    Args:
        backend: ``gloo`` on CPUs, ``nccl`` on GPUs.
    """
    joins = not dist.is_initialized()
    if joins:
        dist.init_process_group(backend)
    try:
        yield Group(dist.get_rank(), dist.get_world_size())
    finally:
        if joins:
            dist.destroy_process_group()
