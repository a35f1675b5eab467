"""Kill processes with SIGKILL at named points of their work, from outside the product: a ``sitecustomize`` of our own.

``write_hooks(folder)`` writes it; a process that has ``<folder>/hooks`` first on its import path calls :func:`hook`.
The points lie around the renames of files, the commits of answers and the claims of slices. ``<folder>/hits`` has a
byte per pass of each point, and ``<folder>/calls`` a line per item that a worker had the result of.
"""

import json
import os
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial, wraps
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

POINTS = (
    "slice claimed",
    "file written, not renamed",
    "file renamed, no entry yet",
    "answers made, not committed",
    "answers committed, no entry yet",
    "entry written, not renamed",
    "entry renamed, lease still held",
)
_ROOT = Path(__file__).parents[2]


def write_hooks(folder: Path) -> Mapping[str, str]:
    """Write the hooks; returns the environment of the processes to watch."""
    for name in ("hooks", "hits"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "calls").touch()
    code = f"from pathlib import Path\nfrom tests.support.killing import hook\nhook(Path({str(folder)!r}))\n"
    (folder / "hooks/sitecustomize.py").write_text(code, encoding="utf-8")
    return {"PYTHONPATH": os.pathsep.join(map(str, (folder / "hooks", _ROOT / "src", _ROOT)))}


def arm(folder: Path, point: str, nth: int) -> None:
    """Have the process die that passes a point for the nth time from now on."""
    passes = count_hits(folder)[point]
    (folder / "plan").write_text(json.dumps({"point": point, "at": passes + nth}), encoding="utf-8")


def disarm(folder: Path) -> bool:
    """Take the plan back; False if somebody died of it."""
    plan = folder / "plan"
    if armed := plan.exists():
        plan.unlink()
    return armed


def count_hits(folder: Path) -> Counter[str]:
    """Passes of each point so far."""
    return Counter({point: size for point in POINTS if (size := _size(_hits(folder, point)))})


def count_calls(folder: Path) -> Counter[str]:
    """How often the result of each item was made."""
    return Counter((folder / "calls").read_text(encoding="utf-8").split())


def _hits(folder: Path, point: str) -> Path:
    return folder / "hits" / point.replace(" ", "_").replace(",", "")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _append(path: Path, text: str) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(descriptor, text.encode())
        return os.lseek(descriptor, 0, os.SEEK_CUR)
    finally:
        os.close(descriptor)


def _pass(folder: Path, point: str) -> None:
    passes = _append(_hits(folder, point), ".")
    plan = folder / "plan"
    try:
        wanted = json.loads(plan.read_text(encoding="utf-8"))
        if wanted["point"] == point and passes >= wanted["at"]:
            plan.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
    except (FileNotFoundError, ValueError):
        return


def hook(folder: Path) -> None:
    """Put the points into this process."""
    rename, open_file = os.replace, os.open

    def replace(source: Any, target: Any, **options: Any) -> None:
        entry = Path(target).parent.name in ("done", "failed", "blocked")
        if not str(source).endswith(".tmp"):
            rename(source, target, **options)
            return
        _pass(folder, "entry written, not renamed" if entry else "file written, not renamed")
        rename(source, target, **options)
        _pass(folder, "entry renamed, lease still held" if entry else "file renamed, no entry yet")

    def opened(path: Any, flags: int, *rest: Any, **options: Any) -> int:
        descriptor = open_file(path, flags, *rest, **options)
        if flags & os.O_EXCL and Path(os.fsdecode(path)).parent.name == "held":
            _pass(folder, "slice claimed")
        return descriptor

    class Connection(sqlite3.Connection):
        def __exit__(self, *error: Any) -> Any:
            _pass(folder, "answers made, not committed")
            ended = super().__exit__(*error)
            _pass(folder, "answers committed, no entry yet")
            return ended

    os.replace, os.open = replace, opened
    sqlite3.connect = partial(sqlite3.connect, factory=Connection)  # type: ignore[assignment]
    sys.meta_path.insert(0, _Watcher(folder))  # type: ignore[arg-type]


class _Watcher:
    """Counts what workers make, by the names that the stores give it."""

    def __init__(self, folder: Path) -> None:
        self._counted: Mapping[str, tuple[str, Callable[..., Any]]] = {
            "cultureclip.engine.keyed_store": ("KeyedStore.put", lambda _, answers: list(answers)),
            "cultureclip.images.store": ("ShardStore.write_part", lambda _, __, records: [r.image_id for r in records]),
        }
        self._calls = folder / "calls"

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """Find a module whose stores are watched."""
        found = PathFinder.find_spec(name, path, target) if name in self._counted else None
        if found is not None and found.loader is not None:
            execute = found.loader.exec_module

            def exec_module(module: Any) -> None:
                execute(module)
                self._watch(module, *self._counted[name])

            found.loader.exec_module = exec_module  # type: ignore[method-assign]
        return found

    def _watch(self, module: Any, place: str, names_of: Callable[..., Any]) -> None:
        kind, method = place.split(".")
        real = getattr(getattr(module, kind), method)

        @wraps(real)
        def counted(*arguments: Any) -> Any:
            names = names_of(*arguments)
            if names:
                _append(self._calls, "".join(f"{name}\n" for name in names))
            return real(*arguments)

        setattr(getattr(module, kind), method, counted)
