"""Kill saves of every dataset type at every point, with SIGKILL or the kernel's signal for a file that is too long.

Usage: python -m tests.support.killed_saves <folder>    Prints a JSON line per type and point: what loads next.
"""

import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pandas as pd
import torch
from kedro.io.core import Version
from matplotlib.figure import Figure
from PIL import Image
from plotly import graph_objects

from cultureclip.attribution.index import PictureIndex
from cultureclip.datasets.checkpoint_dataset import CheckpointDataset
from cultureclip.datasets.figure_dataset import FigureDataset
from cultureclip.datasets.folder_dataset import FolderDataset
from cultureclip.datasets.json_dataset import JSONDataset
from cultureclip.datasets.picture_index_dataset import PictureIndexDataset
from cultureclip.datasets.plotly_dataset import PlotlyDataset
from cultureclip.datasets.shard_store_dataset import ShardStoreDataset
from cultureclip.datasets.site_dataset import SiteDataset
from cultureclip.datasets.table_dataset import TableDataset
from cultureclip.datasets.text_dataset import TextDataset
from cultureclip.datasets.versions import WholeVersions
from cultureclip.engine import atomic
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.images.records import encode_image
from cultureclip.images.store import ShardStore
from tests.clip.export.test_checkpoint import make_checkpoint
from tests.support.tiny_clip import write_tiny_clip

OLD, NEW, LATER = (f"2026-01-0{day}T00.00.00.000Z" for day in (1, 2, 3))
NAMES = {OLD: "old", NEW: "new", LATER: "later"}
_BYTES = 50
"""A file may be so long before its writer is killed; every sample is longer."""


class Notes:
    """A folder of two files that writes itself."""

    def write(self, folder: Path) -> None:
        """Write a folder that does not exist yet."""
        folder.mkdir(parents=True)
        for name in ("README.md", "other.md"):
            (folder / name).write_bytes(b"# A note\n" * 20)


class Pages:
    """A site of two pages."""

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Its files."""
        yield "index.html", b"<p>" * 100
        yield "second/page.html", b"<p>" * 100


def make_index(pictures: int) -> PictureIndex:
    """An index of unit vectors."""
    vectors = faiss.IndexFlatIP(pictures)
    vectors.add(np.eye(pictures, dtype=np.float32))
    names = tuple(f"{place}.png" for place in range(pictures))
    return PictureIndex(vectors, names, tuple((name,) for name in names), "fingerprint", {})


def make_samples(folder: Path) -> dict[type, tuple[str, Any, dict[str, Any]]]:
    """Dataset type -> file name, something to save, further arguments."""
    store = ShardStore(folder / "images")
    store.write_part("a", [encode_image(f"a{n}", Image.new("RGB", (8, 8), (n, 0, 0)), 1, {}) for n in range(9)])
    figure = Figure()
    figure.subplots().plot([1, 2, 3])
    return {
        TableDataset: ("table.parquet", pd.DataFrame({"number": np.arange(200)}), {}),
        JSONDataset: ("figures.json", {"café": list(range(100))}, {}),
        PlotlyDataset: ("chart.json", graph_objects.Figure(graph_objects.Scatter(y=list(range(50)))), {}),
        TextDataset: ("table.md", "| café | 1 |\n" * 21, {}),
        FigureDataset: ("sheet.png", figure, {}),
        SiteDataset: ("site", Pages(), {}),
        ShardStoreDataset: ("images.json", [f"a{n}" for n in range(9)], {"store": {"filepath": str(store.root)}}),
        PictureIndexDataset: ("index", make_index(20), {}),
        FolderDataset: ("notes", Notes(), {"entry": "README.md"}),
        CheckpointDataset: ("checkpoint", make_checkpoint(write_tiny_clip(folder / "base"))[0], {}),
    }


TYPES = (
    *(TableDataset, JSONDataset, PlotlyDataset, TextDataset, FigureDataset),
    *(SiteDataset, ShardStoreDataset, PictureIndexDataset, CheckpointDataset, FolderDataset),
)


def _die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _before_the_write(_: type) -> None:
    WholeVersions._write = _die
    for kind in TYPES:
        kind._write = _die


def _during_the_write(_: type) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_BYTES, _BYTES))


def _before_the_rename(_: type) -> None:
    flush = atomic._flush_all

    def die_at_the_last(path: Path) -> None:
        flush(path)
        if NEW in path.name:
            _die()

    atomic._flush_all = die_at_the_last


def _after_the_rename(_: type) -> None:
    flush = atomic._flush

    def die_at_the_last(path: Path) -> None:
        if (path / NEW).exists():  # the folder of versions is flushed once the new one has its name
            _die()
        flush(path)

    atomic._flush = die_at_the_last


POINTS: dict[str, Callable[[type], None]] = {
    "before the write": _before_the_write,
    "during the write": _during_the_write,
    "before the rename": _before_the_rename,
    "after the rename": _after_the_rename,
}


def _in_child(work: Callable[[], Any]) -> int:
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def _loads(dataset: Any) -> str:
    version = dataset.resolve_load_version()
    dataset.preview() if isinstance(dataset, FigureDataset) else dataset.load()
    return NAMES[version]


def _leftovers(folder: Path) -> int:
    return sum(path.name.endswith(".tmp") for path in folder.rglob("*"))


def kill_versions(folder: Path) -> Iterator[dict[str, Any]]:
    """Every versioned type at every point."""
    samples = make_samples(folder)
    for kind, (name, data, arguments) in samples.items():
        for point, arm in POINTS.items():
            place = folder / kind.__name__ / point / name

            def dataset(save: str | None = None, kind=kind, place=place, arguments=arguments) -> Any:
                return kind(filepath=str(place), version=Version(None, save), **arguments)

            dataset(OLD).save(data)

            def save(kind=kind, arm=arm, dataset=dataset, data=data) -> None:
                arm(kind)
                dataset(NEW).save(data)

            killed = _in_child(save)
            loaded, left = _loads(dataset()), _leftovers(place)
            dataset(LATER).save(data)
            yield {
                "type": kind.__name__,
                "point": point,
                "killed by": signal.Signals(killed).name if killed else None,
                "loads next": loaded,
                "leftovers": left,
                "after the next save": [_loads(dataset()), _leftovers(place)],
            }


def kill_stores(folder: Path) -> Iterator[dict[str, Any]]:
    """The stores that nodes write to, while a batch is written."""
    batch = {f"new-{n}": "x" * 1000 for n in range(50)}
    answers = KeyedStore(folder / "answers.sqlite")
    answers.put({"old": 1})

    def put(limit: int) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        answers.put(batch)

    killed = _in_child(lambda: put((folder / "answers.sqlite").stat().st_size + 5000))
    found = KeyedStore(folder / "answers.sqlite").get(["old", *batch])
    yield _store_row("KeyedStore", killed, sorted(found))
    images = ShardStore(folder / "parts")
    images.write_part("a", [encode_image("a0", Image.new("RGB", (8, 8)), 1, {})])

    def write() -> None:
        _during_the_write(ShardStore)
        images.write_part("a", [encode_image("a1", Image.new("RGB", (8, 8)), 1, {})])

    killed = _in_child(write)
    row = _store_row("ShardStore", killed, sorted(ShardStore(folder / "parts").present()))
    yield row | {"leftovers": _leftovers(folder / "parts")}


def _store_row(name: str, killed: int, found: list[str]) -> dict[str, Any]:
    return {
        "type": name,
        "point": "during the write",
        "killed by": signal.Signals(killed).name if killed else None,
        "loads next": found,
    }


def main(folder: Path) -> None:
    """Print a line per type and point."""
    torch.set_num_threads(1)  # children are forked
    for row in (*kill_versions(folder), *kill_stores(folder)):
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
