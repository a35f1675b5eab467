"""Record of a run: everything needed to trust its results or to repeat it."""

import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from time import perf_counter
from typing import Any

from cultureclip.reading.text import split_lines

_SEED_NAMES = ("seed", "seeds", "draw")


def now() -> str:
    """Return the time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass
class RunRecord:
    """Notes taken while a run goes on.

    Attributes:
        started: Start in UTC, ISO 8601.
        node_seconds: Seconds that each node took, its loads and saves counted.
        loaded: Names of datasets that were read.
        saved: Names of datasets that were written.
        data_hashes: SHA-256 of the raw files that were read, by dataset.
    """

    started: str = field(default_factory=now)
    node_seconds: dict[str, float] = field(default_factory=dict)
    loaded: set[str] = field(default_factory=set)
    saved: set[str] = field(default_factory=set)
    data_hashes: dict[str, str] = field(default_factory=dict)
    _clocks: dict[str, float] = field(default_factory=dict)

    def start_node(self, name: str) -> None:
        """Start a node's clock."""
        self._clocks[name] = perf_counter()

    def stop_node(self, name: str) -> float:
        """Stop a node's clock and return its seconds."""
        self.node_seconds[name] = round(perf_counter() - self._clocks.pop(name), 3)
        return self.node_seconds[name]


def walk(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield all leaves of nested mappings with their dotted paths; a list is a leaf."""
    if not isinstance(tree, Mapping):
        yield path, tree
        return
    for key, value in tree.items():
        yield from walk(value, f"{path}.{key}" if path else str(key))


def find_seeds(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return every parameter called ``seed``, ``seeds`` or ``draw``, by dotted path."""
    return {path: value for path, value in walk(parameters) if path.rpartition(".")[2] in _SEED_NAMES}


def describe_git(folder: Path) -> dict[str, Any] | None:
    """Return the commit and whether files differ from it; None outside a repository or before its first commit."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain"))}


def _git(folder: Path, *arguments: str) -> str | None:
    program = shutil.which("git")
    if program is None:
        return None
    done = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() if done.returncode == 0 else None


def describe_machine() -> dict[str, Any]:
    """Return processor, usable cores, system and Python."""
    return {
        "cpu": name_processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def name_processor() -> str:
    """Return the name of the processor, as precise as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in split_lines(info.read_text(encoding="utf-8")):
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def list_packages(distribution: str = "cultureclip") -> dict[str, str]:
    """Return the versions of a distribution and of everything that it names as a dependency and that is installed."""
    from packaging.requirements import Requirement

    names = {distribution, *(Requirement(line).name for line in metadata.requires(distribution) or ())}
    return {name: version for name in sorted(names) if (version := _version(name)) is not None}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def hash_file(path: Path) -> str:
    """Return SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
