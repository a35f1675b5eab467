"""The log of a run: one line per stage on the console, and everything in a file."""

import logging
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

logger = logging.getLogger(__name__)

_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
_TABLES_NAMED = 3
_current: ContextVar[str | None] = ContextVar("run_id", default=None)


class LogFile:
    """Writes every log record of one run into a file, until it is closed.

    A server runs several sessions in one process: a record that belongs to another run is left out.

    Args:
        path: The file; its folder is made.
        run_id: Of the run.
    """

    def __init__(self, path: Path, run_id: str) -> None:
        self.path = path
        self._handler: logging.FileHandler | None = None
        _current.set(run_id)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handler = _Quiet(path, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            logger.warning("This run has no log file: %s cannot be written (%s)", path, error.strerror)
            return
        self._handler.setFormatter(logging.Formatter(_FORMAT))
        self._handler.addFilter(lambda _: _current.get() in (None, run_id))
        logging.captureWarnings(True)
        logging.getLogger().addHandler(self._handler)

    @property
    def is_open(self) -> bool:
        """Whether there is such a file."""
        return self._handler is not None

    def close(self, error: BaseException | None = None) -> None:
        """End the file, with the traceback of the error that ended the run."""
        if self._handler is not None:
            if error is not None:
                logger.debug("The run failed", exc_info=error)
            logging.getLogger().removeHandler(self._handler)
            with suppress(OSError):
                self._handler.close()
        self._handler = None
        _current.set(None)


class _Quiet(logging.FileHandler):
    """Says once that the disk does not take the log, where logging's own handler prints a stack for every record."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002 - logging's
        """Warn, and write nothing more."""
        logging.getLogger().removeHandler(self)
        error = sys.exc_info()[1]
        logger.warning("The log file is not complete: %s cannot be written (%s)", self.baseFilename, error)


class StageLines:
    """Describes each stage of a run in one line when its last node has ended: time, rows read, rows written.

    Args:
        pipeline: What runs. A stage is a namespace of its nodes, such as ``mining`` or ``train.cultureclip.s1``.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        stages = {node.name: node.namespace or node.name for node in pipeline.nodes}
        self._stages, self._waiting = stages, Counter(stages.values())
        self._width = max(map(len, self._waiting), default=0)
        self._made: dict[str, set[str]] = defaultdict(set)
        for node in pipeline.nodes:
            self._made[stages[node.name]].update(node.outputs)
        self._read: dict[str, dict[str, int]] = defaultdict(dict)
        self._written: dict[str, dict[str, int]] = defaultdict(dict)
        self._seconds: dict[str, float] = defaultdict(float)

    def start_node(self, node: Node, inputs: Mapping[str, Any]) -> None:
        """Count the rows of the tables from outside the stage."""
        stage = self._stages[node.name]
        logger.debug("%s reads %s", node.name, ", ".join(node.inputs) or "nothing")
        from_outside = {name: data for name, data in inputs.items() if name not in self._made[stage]}
        self._read[stage].update(_count_rows(from_outside))

    def stop_node(self, node: Node, outputs: Mapping[str, Any], seconds: float) -> str | None:
        """Add the node's rows and seconds; after the last node of a stage, return the stage's line."""
        stage = self._stages[node.name]
        logger.debug("%s returned %s in %.1f s", node.name, ", ".join(node.outputs) or "nothing", seconds)
        self._written[stage].update(_count_rows(outputs))
        self._seconds[stage] += seconds
        self._waiting[stage] -= 1
        if self._waiting[stage]:
            return None
        read, written = _name(self._read[stage]), _name(self._written[stage])
        return f"{stage:{self._width}}  {_clock(self._seconds[stage]):>7}  {read} -> {written}".rstrip(" ->")


def _count_rows(data: Mapping[str, Any]) -> dict[str, int]:
    """Count the rows of what has rows."""
    return {name: len(value) for name, value in data.items() if hasattr(value, "columns")}


def _name(counts: Mapping[str, int]) -> str:
    """Name the largest tables with their rows; say how many more there are.

    Internal tables carry their stage's name and a dot. They are named only where there are no others.
    """
    shared = {name: rows for name, rows in counts.items() if "." not in name} or counts
    largest = sorted(shared.items(), key=lambda item: -item[1])
    named = [f"{name} {rows:,}" for name, rows in largest[:_TABLES_NAMED]]
    return ", ".join([*named, *([f"{len(largest) - len(named)} more"] if len(largest) > len(named) else [])])


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m {rest:02d}s" if minutes else f"{seconds:.1f}s"
