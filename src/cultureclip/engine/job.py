"""A job: slices of a plan, and the worker that does them; the same for every kind of engine and number of workers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from cultureclip.ids import digest
from cultureclip.settings_base import Device

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Slice(Generic[Task]):
    """A piece of the plan that is done or not done as a whole.

    Attributes:
        name: Digest of the ids of its items.
        task: What the worker gets: plain data that can be sent to another process.
        items: Number of its items.
    """

    name: str
    task: Task
    items: int


def slice_name(ids: Iterable[str]) -> str:
    """Return the name of the slice that has these ids, in their order."""
    return digest("slice", list(ids))


def count_nothing(result: object) -> Mapping[str, float]:  # noqa: ARG001 - of any result
    """Count nothing of a result but the items of its slice."""
    return {}


@dataclass(frozen=True)
class Job(Generic[Task, Result]):
    """Work to do.

    Attributes:
        unit: What items are, e.g. ``images``.
        slices: What is left to do: slices of the plan of all, with the names that they have in it.
        make_worker: Builds the worker, once per process; gets the process's device, or None for the stage's own. It can
            be sent to another process. The worker stores what it makes, and a slice stored twice is as if stored once.
        preload: Modules that take long to import, for processes to have from their start.
        count: What of a result is counted in the journal, e.g. tokens.
    """

    unit: str
    slices: Sequence[Slice[Task]]
    make_worker: Callable[[Device | None], Callable[[Task], Iterable[Result]]]
    preload: tuple[str, ...] = ()
    count: Callable[[Result], Mapping[str, float]] = count_nothing
