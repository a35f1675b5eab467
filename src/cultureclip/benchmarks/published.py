"""Open a benchmark from files: find the files of a catalog entry, take them in and build the questions."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cultureclip.benchmarks.downloads.origins import INCOMPLETE, read_record
from cultureclip.benchmarks.entry import Entry
from cultureclip.benchmarks.protocols.benchmark import Benchmark, Declaration
from cultureclip.benchmarks.protocols.registry import load_protocol
from cultureclip.benchmarks.rows import take_in
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import SourceDataError
from cultureclip.ids import digest
from cultureclip.reading.names import stored_form
from cultureclip.reading.text import normalise


@dataclass(frozen=True)
class AbsentBenchmark:
    """A benchmark whose files are not there. It has no questions, and its card says so."""

    declaration: Declaration
    looked_for: str

    @property
    def name(self) -> str:
        """Key in tables."""
        return self.declaration.name

    def card(self) -> dict[str, Any]:
        """Return a card with the same fields as the card of a benchmark whose files are there."""
        counts = dict.fromkeys(("items", "images", "texts", "concepts"), 0)
        card = asdict(self.declaration) | {"status": "absent", "looked_for": self.looked_for, "task": None} | counts
        nothing: dict[str, Any] = {"left_out": {}, "left_out_items": [], "changed": {}, "changed_items": []}
        return card | nothing | {"chances": {}, "data_hash": digest(self.name, "absent")}


def open_benchmark(entry: Entry, path: Path, kept: Path | None = None) -> Benchmark | AbsentBenchmark:
    """Read a benchmark's rows and try its pictures; the pixels stay on disk.

    Args:
        entry: The catalog entry.
        path: The benchmark's folder or file.
        kept: File of what earlier loads found out about pictures: those of unchanged files are not read again. None:
            all are.

    Raises:
        SourceDataError: if its files are damaged or do not match the entry. A single bad row is not an error: the
            benchmark's card counts bad rows by reason.
        StorageError: if ``kept`` cannot be read or written.
    """
    if (path / INCOMPLETE).exists():
        raise SourceDataError(
            path, "its download was stopped half-way", "Resume it: kedro run --pipelines=fetch_benchmarks"
        )
    path = stored_form(path)
    if not entry.format.find(path):
        return AbsentBenchmark(_declare(entry, path), str(path / entry.format.pattern()))
    protocol = load_protocol(entry.protocol)
    try:
        store = None if kept is None else KeyedStore(kept)
        intake = take_in(entry.format.read_as(path, entry.columns, protocol), store)
        intake = replace(intake, templates=normalise(entry.templates) or intake.templates)
        return protocol.build(_declare(entry, path), intake)
    except SourceDataError as error:  # say which of the listed benchmarks it is
        raise SourceDataError(f"benchmark {entry.name}: {error.item}", error.cause, error.remedy) from error


def _declare(entry: Entry, path: Path) -> Declaration:
    """Return the declaration; the revision is the entry's, or the fetched one."""
    record = read_record(path) or {}
    return Declaration(
        name=entry.name,
        title=entry.title,
        question=load_protocol(entry.protocol).question,
        source=entry.source,
        licence=entry.licence,
        holds_out=entry.holds_out,
        as_published=entry.as_published,
        as_released=entry.as_released,
        revision=entry.revision or record.get("revision"),
    )
