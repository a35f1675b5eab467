"""Workers outside this process, of whatever kind: each has a seat, gets slice after slice, is replaced when it dies."""

import logging
import os
import sys
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic

from cultureclip.engine.board import Board
from cultureclip.engine.job import Result, Slice, Task
from cultureclip.engine.journal import Beating, Lease
from cultureclip.errors import CultureClipError, JobError

logger = logging.getLogger(__name__)

_HOPELESS = 2
"""Slices in a row that fail because workers die, or starts that fail: then it is not the slices' fault."""

Message = tuple[str, Any]
"""``ready``; ``result`` and a result; at the end ``done`` and the seconds, ``stopped`` and an error that ends
the run, or ``failed`` and what went wrong with the slice."""


class WorkerDiedError(Exception):
    """A worker is gone."""


class Seat(ABC, Generic[Task]):
    """A place for a worker, and the slice that the worker has.

    Attributes:
        is_ready: Whether the worker has started.
        work: The slice, and the lease on it.
        counts: What was counted of its results.
    """

    def __init__(self) -> None:
        self.is_ready = False
        self.work: tuple[Lease, Slice[Task]] | None = None
        self.counts: Counter[str] = Counter()

    @property
    @abstractmethod
    def is_free(self) -> bool:
        """Whether the worker can be given a slice."""

    @property
    @abstractmethod
    def line(self) -> Any:
        """What to wait for until the worker says something; None if it has nothing to say."""

    @abstractmethod
    def prepare(self) -> None:
        """Start the worker if it must run before it is given a slice."""

    @abstractmethod
    def begin(self, lease: Lease, piece: Slice[Task]) -> None:
        """Hand a slice to the worker."""

    @abstractmethod
    def hear(self) -> Sequence[Message]:
        """Return what the worker says.

        Raises:
            WorkerDiedError: if the worker is gone.
        """

    @abstractmethod
    def stop(self) -> str:
        """End the worker, and say how it ended."""

    @abstractmethod
    def close(self) -> None:
        """Let an idle worker leave; stop a busy one."""


class Crew(Generic[Task, Result]):
    """Workers in their seats, and the board that they work through.

    Args:
        board: Hands out the slices.
        seats: A seat per worker.
        wait: Returns the lines on which somebody speaks, after the given seconds at most.
    """

    def __init__(
        self,
        board: Board[Task, Result],
        seats: Sequence[Seat[Task]],
        wait: Callable[[list[Any], float], Sequence[Any]],
    ) -> None:
        self.board, self.seats, self._wait = board, seats, wait
        self.failed_in_a_row = 0

    def run(self) -> Iterator[Result]:
        """Keep all workers at work until nothing is left.

        Raises:
            JobError: if workers die at whatever they begin, or without a journal if a slice fails.
        """
        while True:
            for seat in self.seats:
                if self.board.has_more:
                    seat.prepare()
                if seat.is_free and (taken := self.board.take()) is not None:
                    seat.work, seat.counts = taken, Counter()
                    seat.begin(*taken)
            if not self.board.has_more and all(seat.work is None for seat in self.seats):
                return
            speakers = {seat.line: seat for seat in self.seats if seat.line is not None}
            for line in self._wait(list(speakers), self.board.pause) if speakers else ():
                yield from self._hear(speakers[line])
            if not speakers:
                time.sleep(self.board.pause)
            for seat in self.seats:
                self._watch(seat)

    def _hear(self, seat: Seat[Task]) -> Iterator[Result]:
        try:
            messages = seat.hear()
        except WorkerDiedError:
            self._replace(seat, seat.stop())
            return
        for kind, said in messages:
            if kind == "ready":
                seat.is_ready = True
            elif kind == "result":
                seat.counts.update(self.board.job.count(said))
                yield said
            elif seat.work is not None:
                work, seat.work = seat.work, None
                self._end(kind, said, work, seat.counts)

    def _end(self, kind: str, said: Any, work: tuple[Lease, Slice[Task]], counts: Counter[str]) -> None:
        lease, piece = work
        if kind == "done":
            self.board.finish(lease, piece, said, counts)
            self.failed_in_a_row = 0
        elif kind == "stopped":
            self.board.block(lease, said)
            raise said
        elif self.board.settings.journal is None:
            self.board.journal.release(lease)
            raise JobError(f"slice {piece.name}", said, "Fix the cause, then run again")
        else:
            self.board.fail(lease, said)

    def _watch(self, seat: Seat[Task]) -> None:
        """Stop a worker that gives no sign of life; for one that is starting, this process gives it."""
        if seat.work is not None and not seat.is_ready:
            seat.work[0].beat()
        elif seat.work is not None and self.board.journal.is_silent(seat.work[1].name, seat.work[0].path):
            seat.stop()
            self._replace(seat, f"its worker hung for {self.board.settings.silent_s:g} s")

    def _replace(self, seat: Seat[Task], reason: str) -> None:
        work, seat.work, seat.is_ready = seat.work, None, False
        if work is not None and self.board.retry(*work, reason):
            return
        self.failed_in_a_row += 1
        if self.failed_in_a_row >= _HOPELESS:
            remedy = "Look for the cause in the log and in the system's (memory?), then run again: done items are kept"
            raise JobError(f"job {self.board.name}", f"workers die at whatever they begin: {reason}", remedy)

    def close(self) -> None:
        """Let idle workers leave, and stop the others."""
        for seat in self.seats:
            if seat.work is not None:
                self.board.journal.release(seat.work[0])
            seat.close()
        self.board.give_back()


def work_through(
    lease: Lease, task: Task, silent_s: float, worker: Callable[[], Callable[[Task], Iterable[Any]]]
) -> Iterator[Message]:
    """Do a slice in the worker's own process: yield its results and, at the end, how it went.

    Args:
        lease: The right to do it; signs of life are given meanwhile.
        task: The slice's task.
        silent_s: Seconds without a sign of life after which the worker counts as dead.
        worker: Returns what does the task; it is built in the first call.
    """
    try:
        with Beating(lease, silent_s):
            do = worker()
            started = time.monotonic()
            for result in do(task):
                yield "result", result
            yield "done", time.monotonic() - started
    except CultureClipError as error:
        yield "stopped", error
    except Exception as error:  # whatever it is, it is the slice's, and the run says it
        logger.debug("A slice failed", exc_info=True)
        yield "failed", f"{type(error).__name__}: {error}"


def use_threads(threads: int) -> None:
    """Bound torch's threads in a worker's process, whether torch is imported already or not yet."""
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(threads)
    os.environ["OMP_NUM_THREADS"] = str(threads)
