"""The slices of a job that are left, as one run sees them: which is next, and how each ended."""

import logging
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Generic

from cultureclip.engine.job import Job, Result, Slice, Task
from cultureclip.engine.journal import BLOCKED, DONE, FAILED, Journal, Lease
from cultureclip.engine.settings import EngineSettings
from cultureclip.engine.status import StatusFile
from cultureclip.errors import CultureClipError, JobError

logger = logging.getLogger(__name__)

_LOOKS_PER_SILENCE = 20
_REMEDY = "The others are done. Fix the cause, then run again with --params engine.retry=failed"


class Board(Generic[Task, Result]):
    """Hands out slices under leases; a run begins with its own share and then helps with the others.

    Args:
        job: The job.
        journal: Its journal, begun.
        settings: How the work is shared.
    """

    def __init__(self, job: Job[Task, Result], journal: Journal, settings: EngineSettings) -> None:
        self.job, self.journal, self.settings = job, journal, settings
        self.name = journal.folder.name
        self.pause = min(0.5, settings.silent_s / _LOOKS_PER_SILENCE)
        places = sorted(range(len(job.slices)), key=lambda place: ((place - settings.task) % settings.tasks, place))
        self._open: deque[Slice[Task]] = deque(job.slices[place] for place in places)
        self._elsewhere: deque[Slice[Task]] = deque()
        self._again: deque[tuple[Lease, Slice[Task]]] = deque()
        self._status = StatusFile(journal)
        if settings.retry == "failed":
            for name in journal.names(FAILED):
                journal.forget(FAILED, name)

    @property
    def has_more(self) -> bool:
        """Whether slices are left that nobody has begun, or that others work on."""
        return bool(self._again or self._open or self._elsewhere)

    @property
    def is_waiting(self) -> bool:
        """Whether slices are left, and others work on all of them."""
        return bool(self._elsewhere)

    def take(self) -> tuple[Lease, Slice[Task]] | None:
        """Claim the next slice that is free; None if none is."""
        if self._again:
            return self._again.popleft()
        for queue in (self._open, self._elsewhere):
            for _ in range(len(queue)):
                piece = queue.popleft()
                if (lease := self._claim(piece)) is not None:
                    return lease, piece
        return None

    def take_all(self) -> Iterator[tuple[Lease, Slice[Task]]]:
        """Claim slice after slice until all are done, by whoever; waits for those that others work on."""
        while (taken := self.take()) or self.is_waiting:
            if taken:
                yield taken
            else:
                time.sleep(self.pause)

    def _claim(self, piece: Slice[Task]) -> Lease | None:
        if self._has_ended(piece):
            return None
        lease = self.journal.claim(piece.name)
        if lease is None:
            self._elsewhere.append(piece)
            return None
        if self._has_ended(piece):  # between the two looks
            self.journal.release(lease)
            return None
        if lease.tries >= self.settings.tries:
            self.fail(lease, "its worker hung", lease.tries)
            return None
        return lease

    def _has_ended(self, piece: Slice[Task]) -> bool:
        return self.journal.is_in(DONE, piece.name) or self.journal.is_in(FAILED, piece.name)

    @contextmanager
    def working(self, lease: Lease) -> Iterator[None]:
        """Give the lease of a slice back when the block fails: noted as blocked if the error says what to fix."""
        try:
            yield
        except CultureClipError as error:
            self.block(lease, error)
            raise
        except BaseException:
            self.journal.release(lease)
            raise

    def finish(self, lease: Lease, piece: Slice[Task], seconds: float, counts: Counter[str]) -> None:
        """Note that a slice is done."""
        facts: dict[str, Any] = {"items": piece.items, "seconds": round(seconds, 4), "counts": dict(counts)}
        try:
            settled = self.journal.settle(lease, DONE, facts)
        except CultureClipError:  # the disk is full: the slice is stored, which the next run finds
            self.journal.release(lease)
            raise
        if settled:
            self.journal.forget(BLOCKED, piece.name)
        else:
            logger.warning("%s: slice %s was taken over while its worker was silent", self.name, piece.name)
        self._status.update()

    def fail(self, lease: Lease, reason: str, tries: int = 1) -> None:
        """Note that a slice failed by itself: it is left until ``engine.retry`` takes it up."""
        logger.warning("%s: slice %s failed: %s", self.name, lease.slice_name, reason)
        self.journal.settle(lease, FAILED, {"reason": reason, "tries": tries})

    def block(self, lease: Lease, error: CultureClipError) -> None:
        """Note what keeps a slice from being done, such as a full disk: the next run takes it up."""
        try:
            self.journal.settle(lease, BLOCKED, {"reason": str(error)})
        except CultureClipError:  # the journal's disk is full, too
            self.journal.release(lease)

    def retry(self, lease: Lease, piece: Slice[Task], reason: str) -> bool:
        """Put a slice back whose worker died; False if it was tried often enough and has failed."""
        again = self.journal.retake(lease)
        if again is None:  # another run has it
            self._elsewhere.append(piece)
        elif again.tries >= self.settings.tries:
            self.fail(again, reason, again.tries)
            return False
        else:
            logger.warning("%s: %s; slice %s is tried again", self.name, reason, piece.name)
            self._again.append((again, piece))
        return True

    def give_back(self) -> None:
        """Give back what waits for another try."""
        for lease, _ in self._again:
            self.journal.release(lease)

    def check(self) -> None:
        """Raise what failed, once all that can be done is done.

        Raises:
            JobError: if slices failed, in this run or earlier.
        """
        self._status.update(at_once=True)
        if failed := sorted(self.journal.names(FAILED) & {piece.name for piece in self.job.slices}):
            reason = self.journal.read(FAILED, failed[0]).get("reason", "unknown")
            cause = f"{len(failed)} of {len(self.job.slices)} slices failed, first {failed[0]} ({reason})"
            raise JobError(f"job {self.name}", cause, _REMEDY)
