"""Work through a job in processes of their own, each with its model; one that dies or hangs costs only its slice."""

import logging
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any, Generic

from cultureclip.engine.board import Board
from cultureclip.engine.job import Job, Result, Slice, Task
from cultureclip.engine.journal import Beating, Lease
from cultureclip.errors import CultureClipError, JobError
from cultureclip.settings_base import CPU, Device

logger = logging.getLogger(__name__)

_PATIENCE_S, _DYING_S = 10.0, 0.5
"""Time for a worker to leave by itself, when it is idle and when it is dying."""
_HOPELESS = 2
"""Slices in a row that fail because workers die: then it is not the slices' fault."""


def run_pool(board: Board[Task, Result]) -> Iterator[Result]:
    """Work through a job's slices, one process per place of the settings.

    Args:
        board: Hands out the slices. A process starts when there is a slice for it.

    Yields:
        The workers' results, as they arrive.

    Raises:
        JobError: if workers die at whatever they begin, or without a journal if a slice fails.
    """
    pool = _Pool(board)
    try:
        yield from pool.run()
    finally:
        pool.close()


class _Pool(Generic[Task, Result]):
    """The processes of a pool, and what each works on."""

    def __init__(self, board: Board[Task, Result]) -> None:
        self.board = board
        places = board.settings.places[: len(board.job.slices)]
        self.seats = [_Seat(board.job, device, board.settings.silent_s, self._threads()) for device in places]
        self.failed_in_a_row = 0

    def _threads(self) -> int:
        settings = self.board.settings
        return settings.threads or max(1, (os.cpu_count() or 1) // len(settings.places))

    def run(self) -> Iterator[Result]:
        """Keep all processes at work until nothing is left."""
        while True:
            for seat in self.seats:
                if seat.work is None and (taken := self.board.take()) is not None:
                    seat.begin(*taken)
            busy = {seat.pipe: seat for seat in self.seats if seat.work is not None}
            if not busy and not self.board.is_waiting:
                return
            for pipe in wait(list(busy), timeout=self.board.pause) if busy else ():
                yield from self._hear(busy[pipe])  # type: ignore[index]  # only pipes are waited for
            if not busy:
                time.sleep(self.board.pause)
            for seat in self.seats:
                self._watch(seat)

    def _hear(self, seat: "_Seat[Task, Result]") -> Iterator[Result]:
        lease, piece = seat.current()
        try:
            kind, said = seat.pipe.recv()
        except (EOFError, ConnectionResetError):
            self._replace(seat, seat.stop())
            return
        if kind == "ready":
            seat.is_ready = True
            return
        if kind == "result":
            seat.counts.update(self.board.job.count(said))
            yield said
            return
        seat.work = None
        if kind == "done":
            self.board.finish(lease, piece, said, seat.counts)
            self.failed_in_a_row = 0
        elif kind == "stopped":
            self.board.block(lease, said)
            raise said
        elif self.board.settings.journal is None:
            self.board.journal.release(lease)
            raise JobError(f"slice {piece.name}", said, "Fix the cause, then run again")
        else:
            self.board.fail(lease, said)

    def _watch(self, seat: "_Seat[Task, Result]") -> None:
        """Stop a process that gives no sign of life; for one that is starting, this one gives it."""
        if seat.work is not None and not seat.is_ready:
            seat.work[0].beat()
        elif seat.work is not None and self.board.journal.is_silent(seat.work[1].name, seat.work[0].path):
            seat.stop()
            self._replace(seat, f"its worker hung for {self.board.settings.silent_s:g} s")

    def _replace(self, seat: "_Seat[Task, Result]", reason: str) -> None:
        lease, piece = seat.current()
        seat.work = None
        if self.board.retry(lease, piece, reason):
            return
        self.failed_in_a_row += 1
        if self.failed_in_a_row >= _HOPELESS:
            remedy = "Look for the cause in the log and in the system's (memory?), then run again: done items are kept"
            raise JobError(f"job {self.board.name}", f"workers die at whatever they begin: {reason}", remedy)

    def close(self) -> None:
        """Let idle processes leave, and stop the others."""
        for seat in self.seats:
            if seat.work is not None:
                self.board.journal.release(seat.work[0])
            seat.close()
        self.board.give_back()


class _Seat(Generic[Task, Result]):
    """A place of a pool: its process, which is replaced when it dies, and the slice that the process has."""

    def __init__(self, job: Job[Task, Result], device: Device | None, silent_s: float, threads: int) -> None:
        self._context: ForkServerContext | SpawnContext = get_context("spawn")
        if os.name == "posix":  # what is imported there once, every worker has from its start
            self._context = get_context("forkserver")
            self._context.set_forkserver_preload([__name__, *job.preload])
        self._arguments = (job.make_worker, device, silent_s, threads)
        self._process: BaseProcess | None = None
        self.is_ready = False
        self.pipe: Connection
        self.work: tuple[Lease, Slice[Task]] | None = None
        self.counts: Counter[str] = Counter()

    def begin(self, lease: Lease, piece: Slice[Task]) -> None:
        """Hand a slice to the process; it is started if there is none."""
        if self._process is None:
            self.pipe, theirs = self._context.Pipe()
            self.is_ready = False
            self._process = self._context.Process(target=_serve, args=(theirs, *self._arguments), daemon=True)
            self._process.start()
            theirs.close()
        self.work, self.counts = (lease, piece), Counter()
        with suppress(BrokenPipeError, ConnectionResetError):  # it died while idle: that is found when it is heard
            self.pipe.send((lease, piece.task))

    def current(self) -> tuple[Lease, Slice[Task]]:
        """Return what the process works on."""
        if self.work is None:
            raise RuntimeError("an idle worker has nothing to say")
        return self.work

    def stop(self) -> str:
        """End the process, and say how it ended."""
        if self._process is not None:
            self._process.join(_DYING_S)
            self._process.kill()
            self._process.join()
        code = (self._process and self._process.exitcode) or 0
        self._process = None
        self.pipe.close()
        return f"its worker was ended by signal {-code}" if code < 0 else f"its worker ended with status {code}"

    def close(self) -> None:
        """Let an idle process leave; stop a busy one."""
        if self._process is None:
            return
        self.pipe.close()
        if self.work is None:
            self._process.join(_PATIENCE_S)
        self._process.kill()
        self._process.join()
        self._process = None


def _serve(
    pipe: Connection,
    make_worker: Callable[[Device | None], Callable[[Any], Any]],
    device: Device | None,
    silent_s: float,
    threads: int,
) -> None:
    """Do slices until the run hangs up. The model is loaded for the first of them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run decides what an interrupt means
    if device in (None, CPU):
        _use_threads(threads)
    worker = None
    pipe.send(("ready", None))
    while True:
        try:
            lease, task = pipe.recv()
        except EOFError:
            return
        try:
            with Beating(lease, silent_s):
                worker = worker or make_worker(device)
                started = time.monotonic()
                for result in worker(task):
                    pipe.send(("result", result))
                said: tuple[str, Any] = ("done", time.monotonic() - started)
        except CultureClipError as error:
            said = ("stopped", error)
        except BrokenPipeError:
            return
        except Exception as error:  # whatever it is, it is the slice's, and the run says it
            logger.debug("A slice failed", exc_info=True)
            said = ("failed", f"{type(error).__name__}: {error}")
        pipe.send(said)


def _use_threads(threads: int) -> None:
    """Bound torch's threads, whether it is imported already or not yet."""
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(threads)
    os.environ["OMP_NUM_THREADS"] = str(threads)
