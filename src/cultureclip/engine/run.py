"""Run a job in the way that the settings name, with a journal."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from cultureclip.engine.board import Board
from cultureclip.engine.cluster import run_ray
from cultureclip.engine.job import Job, Result, Task
from cultureclip.engine.journal import DONE, Journal
from cultureclip.engine.local import run_local
from cultureclip.engine.pool import run_pool
from cultureclip.engine.settings import EngineSettings
from cultureclip.engine.status import StatusFile
from cultureclip.engine.temporary import scratch_folder

ENGINES: dict[str, Callable[[Board[Any, Any]], Iterator[Any]]] = {"local": run_local, "pool": run_pool, "ray": run_ray}
"""``engine.kind`` -> its function."""


class SharedWork:
    """The work on one plan. Runs with the same name and plan share it, through the journal.

    It is opened before the store of results is read: a slice that the journal already calls done, but whose items the
    store then lacks, has lost them and is done again; one that another run finishes later is not.

    Args:
        settings: How the work runs.
        name: What is done, e.g. ``synthesis``.
        plan: Digest of the whole plan and of all that decides its results.
    """

    def __init__(self, settings: EngineSettings, name: str, plan: str) -> None:
        self._settings, self._name = settings, f"{name}-{plan}"
        here = settings.journal
        self._done_before = Journal(here / self._name, settings.silent_s).names(DONE) if here else set()

    def run(self, job: Job[Task, Result]) -> Iterator[Result]:
        """Work until all slices of a job are done, by this run or by another.

        Args:
            job: The slices whose items are missing. Without any, nothing is built and no journal is begun.

        Yields:
            Results of this run's workers, as they arrive.

        Raises:
            JobError: if slices failed; the others are done.
            StorageError: if the journal cannot be written.
        """
        if not job.slices:
            if (shared := self._settings.journal) and (shared / self._name).exists():
                journal = Journal(shared / self._name, self._settings.silent_s)
                journal.note_stored(())
                StatusFile(journal).update(at_once=True)
            return
        with ExitStack() as stack:
            folder = self._settings.journal or stack.enter_context(scratch_folder())
            journal = Journal(folder / self._name, self._settings.silent_s)
            for piece in job.slices:
                if piece.name in self._done_before:
                    journal.forget(DONE, piece.name)
            journal.begin({"unit": job.unit, "slices": {piece.name: piece.items for piece in job.slices}})
            journal.note_stored([piece.name for piece in job.slices])
            board = Board(job, journal, self._settings)
            yield from ENGINES[self._settings.kind](board)
            board.check()
