"""The log of a training: a row for the untouched base, then one for each dev evaluation."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cultureclip.engine.atomic import replacing
from cultureclip.errors import ConfigurationError, TrainingError
from cultureclip.reading.json_text import parse_object
from cultureclip.reading.text import RefusedError, read_lines

LOG_NAME = "log.jsonl"

START_AFRESH = "Remove the folder that it is in, to train from the beginning"

LogRow = dict[str, Any]


def read_log(path: Path) -> list[LogRow]:
    """Return the rows that :func:`write_log` wrote, the base's and at least one more.

    Raises:
        TrainingError: if the file is missing or damaged.
    """
    try:
        rows = list(map(parse_object, read_lines(path)))
        steps = [row["step"] for row in rows]
    except (OSError, RefusedError, KeyError) as error:
        raise TrainingError(path, f"not a whole log ({error!r})", START_AFRESH) from error
    if len(steps) < 2:
        raise TrainingError(path, f"not a whole log ({len(steps)} rows)", START_AFRESH)
    return rows


def write_log(rows: Sequence[LogRow], path: Path) -> None:
    """Write JSON lines in one step."""
    with replacing(path) as temporary:
        temporary.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def best_row(log: Sequence[LogRow], select_by: str) -> LogRow:
    """Return the log's best row after training began by a dev figure, the first of equals; the last without figures."""
    rows = [row for row in log if row["step"] > 0]
    if select_by == "last" or select_by not in rows[-1]:
        return rows[-1]
    sign = -1 if select_by == "dev_loss" else 1
    return max(rows, key=lambda row: (sign * row[select_by], -row["step"]))


def ran_out_of_patience(log: Sequence[LogRow], select_by: str, patience: int | None) -> bool:
    """Tell whether none of the last ``patience`` dev evaluations is better than the best before them."""
    steps: list[int] = [row["step"] for row in log if row["step"] > 0]
    if patience is None or len(steps) <= patience or select_by not in log[-1]:
        return False
    best: int = best_row(log, select_by)["step"]
    return best <= steps[-patience - 1]


class Tracker:
    """Shows log rows elsewhere while a training runs.

    Args:
        kind: ``tensorboard``, or ``none``.
        folder: Folder of the event files.
        start: Step at which the training resumes; events after it are withdrawn.

    Raises:
        ConfigurationError: if TensorBoard is not installed.
    """

    def __init__(self, kind: str, folder: Path, start: int) -> None:
        self._writer: Any = None
        if kind != "tensorboard":
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ConfigurationError(
                "trainer.tracker", f"tensorboard cannot be imported ({error})", "pip install cultureclip[tracking]"
            ) from error
        self._writer = SummaryWriter(str(folder), purge_step=start + 1)

    def show(self, row: LogRow) -> None:
        """Add a row's numbers at its step."""
        if self._writer is None:
            return
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(name, value, row["step"])
        self._writer.flush()

    def close(self) -> None:
        """End the files."""
        if self._writer is not None:
            self._writer.close()
