"""Any number of result folders, of ours or of CLIP_benchmark's own, as one table."""

import glob
import logging
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cultureclip.errors import ConfigurationError, SourceDataError
from cultureclip.reading.json_text import read_object
from cultureclip.reading.text import RefusedError, normalise
from cultureclip.report.markdown import printable
from cultureclip.scoring.models import ModelName
from cultureclip.scoring.ranks import RankSet, say_rank

UNKNOWN = "data unknown"
"""Stands for the hash in files that do not say what was asked: CLIP_benchmark's own."""
RANK = "rank"
RANK_NOTE = (
    "Rank: the ranks that a model may have by the mean of the columns, 95 % for all models at once, from paired "
    "differences on shared items over concepts. Two models that share no items are not told apart; a model that shares "
    "none with any other has no rank."
)
_KEYS = {"dataset": str, "model": str, "pretrained": str, "metrics": dict}
_OWN_KEYS = {"data_hash": str, "run_id": str, "intervals": dict, "n": dict}
"""Of our own files; CLIP_benchmark's lack them."""
_SHOWN_DIGITS = 8

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Column:
    """A benchmark's metric over certain data: results on other data are another column."""

    dataset: str
    metric: str
    data_hash: str


@dataclass(frozen=True)
class Cell:
    """A value in [0, 1] with what is known about it."""

    value: float
    low: float | None
    high: float | None
    n: int | None

    def __str__(self) -> str:
        """Percent, with the interval where there is one."""
        interval = "" if self.low is None or self.high is None else f" [{100 * self.low:.1f}, {100 * self.high:.1f}]"
        return f"{100 * self.value:.1f}{interval}"


@dataclass(frozen=True)
class Origin:
    """Where a figure was read: the folder of its file, and the kind of task that the file names."""

    folder: Path
    task: str


@dataclass(frozen=True)
class Row:
    """One model's line.

    Attributes:
        model: Its name.
        pretrained: What it was made from.
        source: The run that measured it; empty for CLIP_benchmark's own files, which name their weights fully.
        cells: What was measured.
        origins: Where that was read.
    """

    model: str
    pretrained: str
    source: str
    cells: dict[Column, Cell]
    origins: dict[Column, Origin]

    def repeats(self, other: "Row") -> bool:
        """Tell whether both are of one model: the same names, and the same values wherever both have one."""
        shared = self.cells.keys() & other.cells.keys()
        return (
            (self.model, self.pretrained) == (other.model, other.pretrained)
            and bool(shared)
            and all(self.cells[column].value == other.cells[column].value for column in shared)
        )


def find_results(folders: Sequence[str]) -> list[Path]:
    """JSON files in folders.

    Args:
        folders: Folders or glob patterns of folders, in which ** is any depth; each must hold at least one file.

    Raises:
        ConfigurationError: nothing is there.
    """
    found: dict[Path, None] = {}
    for pattern in folders:
        folders_found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - the pattern may be absolute
        files = [file for folder in folders_found for file in sorted(Path(folder).glob("*.json"))]
        if not files:
            raise ConfigurationError(
                f"leaderboard.results {pattern}",
                "no folder with JSON files matches",
                "Name folders of results: an evaluation writes them to <data>/08_reporting/results",
            )
        found |= dict.fromkeys(files)
    return list(found)


def merge_results(files: Iterable[Path]) -> list[Row]:
    """Return lines of all models.

    Results on other data (another ``data_hash`` under the same name) get a column of their own. Results of two runs
    share a line only where they measured the same thing and got the same values; a name alone does not make two models
    one. Seeds whose mean is in the same folder have no line.

    Raises:
        SourceDataError: a file is not a result, or one run has two values for one metric of a model.
    """
    documents = [(file, _read(file)) for file in files]
    present = {(file.parent, document["model"]) for file, document in documents}
    runs: dict[tuple[str, str, str], Row] = {}
    for file, document in documents:
        name = ModelName.parse(document["model"])
        if name.seed is not None and (file.parent, str(name.mean)) in present:
            continue
        key, run = _run_of(document), _cells(document)
        line = runs.setdefault(key, Row(*key, {}, {}))
        cells = line.cells
        if any(cells[column].value != run[column].value for column in cells.keys() & run.keys()):
            cause = f"{document['model']} has another value for the same metric in another file of this run"
            raise SourceDataError(file, cause, "Keep one of the files")
        cells |= run
        line.origins.update(dict.fromkeys(run, Origin(file.parent, str(document.get("task", "")))))
    lines: list[Row] = []
    for line in runs.values():
        twin = next((other for other in lines if other.repeats(line)), None)
        if twin is None:
            lines.append(line)
        else:
            twin.cells.update(line.cells)
            twin.origins.update(line.origins)
    return lines


def tabulate_rows(rows: Sequence[Row], metrics: Collection[str], ranks: Sequence[RankSet | None] = ()) -> pd.DataFrame:
    """Write the table as text: one line per model, one column per benchmark and metric with its n.

    Lines come in the order of their mean over the columns that all of them have, best first; where there is no such
    column, in alphabetical order. A name that several lines have is followed by their pretrained weights, or sources.

    Args:
        rows: The lines.
        metrics: Names of metrics to show, all where there are none; those that results have beside them are logged.
        ranks: The lines' ranks, which make a column of their own; none for a table without it.

    Raises:
        ConfigurationError: no result has such a metric.
    """
    measured = {column for row in rows for column in row.cells}
    columns = sorted(
        {column for column in measured if not metrics or column.metric in metrics},
        key=lambda c: (c.dataset, c.metric, c.data_hash),
    )
    others = sorted({column.metric for column in measured.difference(columns)})
    if not columns:
        raise ConfigurationError("leaderboard.metrics", "no result has any of them", f"There are {', '.join(others)}")
    if others:
        logger.info("Not shown, being none of leaderboard.metrics: %s", "; ".join(map(printable, others)))
    shared = [column for column in columns if all(column in row.cells for row in rows)]
    means = [-sum(row.cells[column].value for column in shared) for row in rows]
    places = sorted(range(len(rows)), key=lambda n: (means[n], rows[n].model, rows[n].source))
    order = [rows[place] for place in places]
    table = pd.DataFrame(
        [[str(row.cells[column]) if column in row.cells else "" for column in columns] for row in order],
        index=[_label(row, rows) for row in order],
        columns=[_head(column, columns, rows) for column in columns],
    )
    if any(ranks):
        table.insert(0, RANK, [say_rank(ranks[place]) for place in places])
    return table


def to_html(table: pd.DataFrame) -> str:
    """Return a page of its own; names stay text."""
    style: list[Any] = [
        {"selector": "", "props": "border-collapse: collapse; font: 14px system-ui, sans-serif"},
        {"selector": "th, td", "props": "border-bottom: 1px solid #8888; padding: .3em .7em; text-align: left"},
        {"selector": "caption", "props": "text-align: left; padding: .5em 0; caption-side: bottom"},
    ]
    styler = table.style.format(escape="html").format_index(escape="html").format_index(escape="html", axis=1)
    caption = "Percent with 95 % intervals. Columns with a hash, or marked data unknown, are over different data."
    if RANK in table.columns:
        caption += f" {RANK_NOTE}"
    return styler.set_table_styles(style).set_caption(caption).to_html(doctype_html=True, table_uuid="leaderboard")


def to_latex(table: pd.DataFrame) -> str:
    """Return a ``booktabs`` table; special characters in names are escaped."""
    styler = table.style.format(escape="latex").format_index(escape="latex").format_index(escape="latex", axis=1)
    return styler.to_latex(hrules=True)


def _read(file: Path) -> dict[str, Any]:
    try:
        given = normalise(read_object(file))
    except (OSError, RefusedError) as error:
        raise SourceDataError(file, f"it is not a result ({error})", "Remove it from the folder of results") from error
    wrong = [key for key, kind in _KEYS.items() if not isinstance(given.get(key), kind)]
    wrong += [key for key, kind in _OWN_KEYS.items() if not isinstance(given.get(key), kind | None)]
    if wrong:
        raise SourceDataError(
            file, f"{', '.join(wrong)} missing or of a wrong type", "Remove it, or write it as CLIP_benchmark does"
        )
    return given


def _run_of(document: dict[str, Any]) -> tuple[str, str, str]:
    return document["model"], document["pretrained"], document.get("run_id") or ""


def _cells(document: dict[str, Any]) -> dict[Column, Cell]:
    language = document.get("language", "en")
    dataset = document["dataset"] if language == "en" else f"{document['dataset']} [{language}]"
    intervals, sizes = document.get("intervals") or {}, document.get("n") or {}
    cells = {}
    for name, given in document["metrics"].items():
        value, size = _number(given), _number(sizes.get(name))
        if value is not None:
            ends = intervals.get(name)
            low, high = map(_number, ends) if isinstance(ends, list) and len(ends) == 2 else (None, None)
            column = Column(dataset, name, document.get("data_hash") or UNKNOWN)
            cells[column] = Cell(value, low, high, None if size is None else int(size))
    return cells


def _number(value: object) -> float | None:
    """Return a figure of a file, None where it is none: for a top-5 among five classes CLIP_benchmark writes NaN."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # an integer beyond what a float holds
        return None


def _label(row: Row, rows: Sequence[Row]) -> str:
    namesakes = [other for other in rows if other.model == row.model]
    if len(namesakes) == 1:
        return printable(row.model)
    same_weights = [other for other in namesakes if other.pretrained == row.pretrained]
    return f"{printable(row.model)} ({printable(row.pretrained if len(same_weights) == 1 else row.source)})"


def _head(column: Column, columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """Name of a column; its data's hash is told where another column has the same name."""
    sizes = sorted(
        {str(row.cells[column].n) for row in rows if column in row.cells and row.cells[column].n is not None}
    )
    others = [c for c in columns if (c.dataset, c.metric) == (column.dataset, column.metric)]
    facts = [f"n = {'/'.join(sizes)}"] if sizes else []
    if len(others) > 1:
        data = printable(column.data_hash[:_SHOWN_DIGITS])
        facts.append(UNKNOWN if column.data_hash == UNKNOWN else f"data {data}")
    return f"{printable(column.dataset)} {printable(column.metric)}" + (f" ({', '.join(facts)})" if facts else "")
