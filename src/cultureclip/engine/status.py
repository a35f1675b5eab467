"""How far a job is, in one line: a fold over its journal, for whoever can read the folder."""

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cultureclip.engine import files
from cultureclip.engine.journal import BLOCKED, DONE, FAILED, JOB, Journal

STATUS = "status.txt"
"""File of a journal with the job's line, written again every few seconds while the job runs."""
_BETWEEN_S = 5.0
_MONEY = "cost"


@dataclass
class Progress:
    """What a journal says.

    Attributes:
        name: Name of the job.
        unit: What items are.
        items: Items of all slices.
        done: Items done.
        busy_s: Seconds of workers, summed.
        workers: Slices that are being worked on.
        failed: Slices that failed.
        blocked: Slices that wait for something to be fixed.
        counts: What else was counted, e.g. tokens and cost.
    """

    name: str
    unit: str
    items: int = 0
    done: int = 0
    busy_s: float = 0.0
    workers: int = 0
    failed: int = 0
    blocked: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def line(self) -> str:
        """Describe the job in one line.

        The rate is that of the workers now at work: items per second of one worker, times their number.
        """
        share = self.done / self.items if self.items else 1.0
        parts = [f"{self.name}  {self.done:,} of {self.items:,} {self.unit} ({share:.0%})"]
        if self.done and self.busy_s:
            workers = max(self.workers, 1)
            rate = self.done / self.busy_s * workers
            parts.append(f"{rate:,.1f} {self.unit}/s")
            if self.done < self.items:
                parts.append(f"ETA {_clock((self.items - self.done) / rate)}")
            for name, count in sorted(self.counts.items()):
                per_second = f" ({count / self.busy_s * workers:,.1f}/s)" if name != _MONEY else ""
                parts.append(f"{name} {count:,.6g}{per_second}")
        parts.append(f"{self.workers} at work, {self.failed} failed, {self.blocked} blocked")
        return ", ".join(parts)


class Fold:
    """Reads a journal; what was read before is not read again.

    Args:
        journal: The journal.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._read: dict[str, dict[str, Any]] = {}

    def progress(self) -> Progress:
        """Return what the journal says now."""
        facts, names = self._journal.facts(), self._journal.names(DONE)
        for name in names - self._read.keys():
            self._read[name] = self._journal.read(DONE, name)
        for name in self._read.keys() - names:  # its items are missing again
            del self._read[name]
        done = self._read.values()
        counts: Counter[str] = Counter()
        for slice_facts in done:
            counts.update(slice_facts.get("counts", {}))
        return Progress(
            name=self._journal.folder.name,
            unit=facts.get("unit", "items"),
            items=sum(facts.get("slices", {}).values()),
            done=sum(int(slice_facts.get("items", 0)) for slice_facts in done),
            busy_s=sum(slice_facts.get("seconds", 0.0) for slice_facts in done),
            workers=len(self._journal.holders()),
            failed=len(self._journal.names(FAILED)),
            blocked=len(self._journal.names(BLOCKED)),
            counts=counts,
        )


class StatusFile:
    """Keeps the job's line in a file of its journal.

    Args:
        journal: The journal.
    """

    def __init__(self, journal: Journal) -> None:
        self._fold, self._path, self._last = Fold(journal), journal.folder / STATUS, time.monotonic()

    def update(self, at_once: bool = False) -> None:
        """Write the line if the last one is some seconds old; a full disk costs only the line."""
        if not at_once and time.monotonic() - self._last < _BETWEEN_S:
            return
        self._last = time.monotonic()
        try:
            files.write(self._path, f"{self._fold.progress().line()}\n".encode())
        except OSError:
            return


def read_jobs(folder: Path) -> list[Progress]:
    """Read all journals of a folder, in the order of their names; there may be none."""
    journals = sorted(path.parent for path in folder.glob(f"*/{JOB}"))
    return [Fold(Journal(journal, silent_s=0)).progress() for journal in journals]


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}m" if hours else f"{minutes}m {rest:02d}s" if minutes else f"{rest}s"
