"""A worker of known work for tests of the engine: it writes a file per item, and can be told to die, hang or fail."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cultureclip.engine.atomic import replacing
from cultureclip.engine.disk import cannot_write
from cultureclip.engine.job import Job, Slice, slice_name
from cultureclip.engine.run import SharedWork
from cultureclip.engine.settings import EngineSettings
from cultureclip.errors import StorageError
from cultureclip.settings_base import Device

PER_SLICE = 4


@dataclass(frozen=True)
class Files:
    """Writes ``<folder>/<item>``, and a line per call into ``<folder>.calls``.

    A file ``<folder>.<deed>`` names the item at which it dies, hangs, fails or finds the disk full; once, unless the
    item is followed by ``!``.
    """

    folder: Path
    device: Device | None
    seconds: float = 0.0

    def __call__(self, items: Sequence[str]) -> Iterator[int]:
        """Write the files of a slice."""
        for item in items:
            self._do_deeds(item)
            time.sleep(self.seconds)
            try:
                with replacing(self.folder / item) as temporary:
                    temporary.write_text(item)
            except OSError as error:
                raise cannot_write(self.folder, error) from error
            with Path(f"{self.folder}.calls").open("a", encoding="utf-8") as calls:
                calls.write(f"{item}\n")
            yield 1

    def _do_deeds(self, item: str) -> None:
        deeds: dict[str, Callable[[], object]] = {
            "dies": lambda: os.kill(os.getpid(), signal.SIGKILL),
            "hangs": lambda: os.kill(os.getpid(), signal.SIGSTOP),
            "fails": lambda: 1 / 0,
            "full": self._find_disk_full,
        }
        for name, deed in deeds.items():
            told = Path(f"{self.folder}.{name}")
            text = ""
            with suppress(FileNotFoundError):  # another worker may have done it meanwhile
                text = told.read_text()
            if text.rstrip("!") == item:
                if not text.endswith("!"):
                    told.unlink(missing_ok=True)
                deed()

    def _find_disk_full(self) -> None:
        raise StorageError(self.folder, "cannot be written (No space left on device)", "Free disk space")


def run_files(folder: Path, settings: EngineSettings, items: int = 40, seconds: float = 0.0) -> int:
    """Run the job of a folder, and return how many items this run did."""
    ids = [f"{number:03}" for number in range(items)]
    work = SharedWork(settings, "files", "plan")
    present = {path.name for path in folder.glob("*")}
    cuts = [ids[start : start + PER_SLICE] for start in range(0, items, PER_SLICE)]
    slices = [Slice(slice_name(cut), cut, len(cut)) for cut in cuts if not present.issuperset(cut)]
    return sum(work.run(Job("files", slices, partial(_make, folder, seconds))))


def _make(folder: Path, seconds: float, device: Device | None) -> Files:
    return Files(folder, device, seconds)


def calls(folder: Path) -> list[str]:
    """Return the items that workers of a folder's job have done, in order."""
    return sorted(Path(f"{folder}.calls").read_text().split())


if __name__ == "__main__":
    folder, settings, items, seconds = sys.argv[1:]
    print(run_files(Path(folder), EngineSettings.model_validate_json(settings), int(items), float(seconds)))
