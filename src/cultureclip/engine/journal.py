"""The journal of a job: who holds which slice, what is done, what failed and why; one folder, shared by all who work.

``<folder>/<name>-<plan>/`` has ``job.json`` and a folder per state. A state is a file with the slice's name:

- ``held/<slice>.<token>``: somebody works on it. The file is created exclusively, so one creator wins. Its first line
  says who holds it, and each later byte is a sign of life: its size is a counter. Nobody compares clocks. In an object
  store the bytes are those of ``signs/<slice>.<token>`` (:mod:`cultureclip.engine.leases`).
- ``done/``, ``failed/``, ``blocked/``: written beside and renamed, so a state is there whole or not at all.

A slice whose holder is dead or silent is taken over under the next token. A holder that comes back finds its file gone
and marks nothing; what it stores meanwhile is content-addressed or first-wins, so it changes nothing.
"""

import json
import os
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

from cultureclip.engine import files, leases
from cultureclip.engine.disk import cannot_write
from cultureclip.engine.temporary import is_temporary, process_scope

DONE, FAILED, BLOCKED, HELD = "done", "failed", "blocked", "held"
JOB = "job.json"
_BEATS = 10
"""Signs of life within the time after which a silent holder counts as dead."""


@dataclass(frozen=True)
class Lease:
    """The right to work on a slice.

    Attributes:
        slice_name: Name of the slice.
        path: Its file.
        tries: How often the slice was tried before, its worker dying or hanging each time.
    """

    slice_name: str
    path: Path
    tries: int

    def beat(self) -> bool:
        """Give a sign of life; False if the slice was taken over."""
        return leases.beat(self.path)

    def is_held(self) -> bool:
        """Whether nobody has taken the slice over."""
        return self.path.exists()


class Beating:
    """Gives signs of life for a lease from a thread, for as long as the block lasts."""

    def __init__(self, lease: Lease, silent_s: float) -> None:
        self._lease, self._pause, self._stop = lease, silent_s / _BEATS, Event()
        self._thread = Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._stop.wait(self._pause) and self._lease.beat():
            pass

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop."""
        self._stop.set()
        self._thread.join()


@dataclass
class _Seen:
    """The last sign of life of a holder, by this process's own clock."""

    path: Path
    size: int
    at: float = field(default_factory=time.monotonic)


class Journal:
    """The journal of one job.

    Args:
        folder: Folder of the journal, also one of an object store; made at the first claim.
        silent_s: Seconds without a sign of life after which a holder counts as dead.
    """

    def __init__(self, folder: Path, silent_s: float) -> None:
        self.folder, self._silent_s = folder, silent_s
        self._seen: dict[str, _Seen] = {}

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Write what the job is: ``unit``, and the items of each slice in ``slices``, added to those of other runs.

        Raises:
            StorageError: if the disk is full or the folder is not writable; so also raised by all that write.
        """
        for state in (DONE, FAILED, BLOCKED, HELD):
            try:
                files.make_folder(self.folder / state)
            except OSError as error:
                raise cannot_write(self.folder, error) from error
        before = self.facts()
        merged = {**facts, "slices": {**before.get("slices", {}), **facts["slices"]}}
        if merged != before:
            self._write(self.folder / JOB, merged)

    def facts(self) -> dict[str, Any]:
        """Return what the job is; empty if it was never begun."""
        return _read_facts(self.folder / JOB)

    def names(self, state: str) -> set[str]:
        """Return the names of the slices in a state that is not ``held``."""
        return {name for name in files.list_names(self.folder / state) if not is_temporary(name)}

    def is_in(self, state: str, name: str) -> bool:
        """Whether a slice is in a state that is not ``held``."""
        return (self.folder / state / name).exists()

    def read(self, state: str, name: str) -> dict[str, Any]:
        """Return what was written of a slice in a state; empty if it has left the state."""
        return _read_facts(self.folder / state / name)

    def forget(self, state: str, name: str) -> None:
        """Take a slice out of a state."""
        files.remove(self.folder / state / name)

    def holders(self) -> dict[str, tuple[int, Path]]:
        """Return the highest token of each slice that somebody holds, and its file."""
        found: dict[str, tuple[int, Path]] = {}
        for file in files.list_names(self.folder / HELD):
            name, _, token = file.rpartition(".")
            if token.isdecimal() and (name not in found or int(token) > found[name][0]):
                found[name] = (int(token), self.folder / HELD / file)
        return found

    def claim(self, name: str) -> Lease | None:
        """Claim a slice that nobody holds, or whose holder is dead or silent; None while somebody works on it."""
        token, path = self.holders().get(name, (0, None))
        tries = 0
        if path is not None:
            dead = _is_dead(path)
            silent = not dead and self.is_silent(name, path)
            if not dead and not silent:
                return None
            tries = _read_header(path).get("tries", 0) + silent
        return self._create(name, token + 1, tries, path)

    def retake(self, lease: Lease) -> Lease | None:
        """Claim a slice again whose worker, a process of this run, died or was stopped."""
        token = int(lease.path.name.rpartition(".")[2])
        return self._create(lease.slice_name, token + 1, lease.tries + 1, lease.path) if lease.is_held() else None

    def release(self, lease: Lease) -> None:
        """Give a slice back, or end the work on it."""
        leases.remove(lease.path)

    def settle(self, lease: Lease, state: str, facts: Mapping[str, Any]) -> bool:
        """Put a slice into a state, and give the lease back; False if it was taken over, and nothing is written."""
        if not lease.is_held():
            return False
        self._write(self.folder / state / lease.slice_name, facts)
        self.release(lease)
        return True

    def note_stored(self, left: Collection[str]) -> None:
        """Note as done what nobody holds and no run lacks: its worker stored it, and ended before it could say so.

        Args:
            left: Names of the slices that a run lacks.
        """
        held = self.holders()
        kept = self.names(DONE) | set(left) | {name for name, (_, path) in held.items() if not _is_dead(path)}
        for name, items in self.facts().get("slices", {}).items():
            if name not in kept:
                self._write(self.folder / DONE / name, {"items": items})
                if name in held:
                    leases.remove(held[name][1])
                self.forget(FAILED, name)
                self.forget(BLOCKED, name)

    def _create(self, name: str, token: int, tries: int, before: Path | None) -> Lease | None:
        path = self.folder / HELD / f"{name}.{token}"
        header = json.dumps({"scope": process_scope(), "process": os.getpid(), "tries": tries}) + "\n"
        try:
            if not leases.create(path, header.encode()):
                return None
        except OSError as error:
            raise cannot_write(path, error) from error
        if before is not None:
            leases.remove(before)  # its holder is told by that
        return Lease(name, path, tries)

    def is_silent(self, name: str, path: Path) -> bool:
        """Whether a holder has given no sign of life for too long, since this process first looked."""
        size = leases.count_life(path)
        if size is None:
            return False
        seen = self._seen.get(name)
        if seen is None or (seen.path, seen.size) != (path, size):
            self._seen[name] = _Seen(path, size)
            return False
        return time.monotonic() - seen.at > self._silent_s

    def _write(self, path: Path, facts: Mapping[str, Any]) -> None:
        try:
            files.write(path, json.dumps(facts, ensure_ascii=False).encode())
        except OSError as error:
            raise cannot_write(path, error) from error


def _read_facts(path: Path) -> dict[str, Any]:
    content = files.read(path)
    found: dict[str, Any] = {} if content is None else json.loads(content)
    return found


def _read_header(path: Path) -> dict[str, Any]:
    """Read who holds a lease; a file whose creator was killed before it wrote has no header, and is silent forever."""
    with suppress(ValueError):
        found: dict[str, Any] = json.loads((files.read(path) or b"").partition(b"\n")[0])
        return found
    return {}


def _is_dead(path: Path) -> bool:
    """Whether the holder of a lease was a process of this machine that is gone."""
    from psutil import pid_exists

    header = _read_header(path)
    return header.get("scope") == process_scope() and not pid_exists(header.get("process", 0))
