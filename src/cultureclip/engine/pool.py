"""Work through a job in processes of their own, each with its model; one that dies or hangs costs only its slice."""

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any

from cultureclip.engine.board import Board
from cultureclip.engine.crew import Crew, Message, Seat, WorkerDiedError, use_threads, work_through
from cultureclip.engine.job import Job, Result, Slice, Task
from cultureclip.engine.journal import Lease
from cultureclip.settings_base import CPU, Device

_PATIENCE_S, _DYING_S = 10.0, 0.5
"""Time for a worker to leave by itself, when it is idle and when it is dying."""


def run_pool(board: Board[Task, Result]) -> Iterator[Result]:
    """Work through a job's slices, one process per place of the settings.

    Args:
        board: Hands out the slices. A process starts when there is a slice for it.

    Yields:
        The workers' results, as they arrive.

    Raises:
        JobError: if workers die at whatever they begin, or without a journal if a slice fails.
    """
    settings = board.settings
    places = settings.places[: len(board.job.slices)]
    crew = Crew(board, [_Seat(board.job, device, settings.silent_s, settings.threads_each) for device in places], wait)
    try:
        yield from crew.run()
    finally:
        crew.close()


class _Seat(Seat[Task]):
    """A place of a pool: its process, which is replaced when it dies."""

    def __init__(self, job: Job[Task, Any], device: Device | None, silent_s: float, threads: int) -> None:
        super().__init__()
        self._context: ForkServerContext | SpawnContext = get_context("spawn")
        if os.name == "posix":  # what is imported there once, every worker has from its start
            self._context = get_context("forkserver")
            self._context.set_forkserver_preload([__name__, *job.preload])
        self._arguments = (job.make_worker, device, silent_s, threads)
        self._process: BaseProcess | None = None
        self._pipe: Connection

    @property
    def is_free(self) -> bool:
        """Whether it has no slice; a process is started for one."""
        return self.work is None

    @property
    def line(self) -> Connection | None:
        """The pipe to a process that is at work."""
        return None if self.work is None else self._pipe

    def prepare(self) -> None:
        """Do nothing: the first slice starts the process."""

    def begin(self, lease: Lease, piece: Slice[Task]) -> None:
        """Hand a slice to the process; it is started if there is none."""
        if self._process is None:
            self._pipe, theirs = self._context.Pipe()
            self.is_ready = False
            self._process = self._context.Process(
                target=_serve, args=(theirs, dict(os.environ), *self._arguments), daemon=True
            )
            self._process.start()
            theirs.close()
        with suppress(BrokenPipeError, ConnectionResetError):  # it died while idle: that is found when it is heard
            self._pipe.send((lease, piece.task))

    def hear(self) -> Sequence[Message]:
        """Return the next message of the process."""
        try:
            return [self._pipe.recv()]
        except (EOFError, ConnectionResetError) as error:
            raise WorkerDiedError from error

    def stop(self) -> str:
        """End the process, and say how it ended."""
        if self._process is not None:
            self._process.join(_DYING_S)
            self._process.kill()
            self._process.join()
        code = (self._process and self._process.exitcode) or 0
        self._process = None
        self._pipe.close()
        return f"its worker was ended by signal {-code}" if code < 0 else f"its worker ended with status {code}"

    def close(self) -> None:
        """Let an idle process leave; stop a busy one."""
        if self._process is None:
            return
        self._pipe.close()
        if self.work is None:
            self._process.join(_PATIENCE_S)
        self._process.kill()
        self._process.join()
        self._process = None


def _serve(
    pipe: Connection,
    environment: Mapping[str, str],
    make_worker: Callable[[Device | None], Callable[[Any], Iterable[Any]]],
    device: Device | None,
    silent_s: float,
    threads: int,
) -> None:
    """Do slices until the run hangs up. The model is loaded for the first of them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run decides what an interrupt means
    os.environ.update(environment)  # the server that forks keeps the one it was started with
    if device in (None, CPU):
        use_threads(threads)
    worker = cache(partial(make_worker, device))
    pipe.send(("ready", None))
    with suppress(BrokenPipeError):
        while True:
            try:
                lease, task = pipe.recv()
            except EOFError:
                return
            for message in work_through(lease, task, silent_s, worker):
                pipe.send(message)
