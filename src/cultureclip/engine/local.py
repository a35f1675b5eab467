"""Run a worker over tasks in this process.

An engine is a function with this signature. It calls ``make_worker`` once for each process that it uses, so that a
model is loaded once and only where there is work. Tasks, results and ``make_worker`` are plain data that can be sent to
another process, and tasks are the same for any number of workers.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def run_local(make_worker: Callable[[], Callable[[Task], Iterable[Result]]], tasks: Sequence[Task]) -> Iterator[Result]:
    """Work through tasks in order.

    Args:
        make_worker: Builds the worker; not called when there is no task.
        tasks: Tasks to do.

    Yields:
        The worker's results, as they arrive.
    """
    if not tasks:
        return
    worker = make_worker()
    for task in tasks:
        yield from worker(task)
