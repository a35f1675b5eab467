"""Folders that ``Dataset.save_to_disk`` wrote: Arrow files, mapped into memory in place."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from cultureclip.benchmarks.formats.table_rows import BATCH, PictureCell, find_image_columns, make_row
from cultureclip.benchmarks.rows import Format, Row, Source
from cultureclip.errors import SourceDataError
from cultureclip.reading.json_text import read_object
from cultureclip.reading.names import find_inside
from cultureclip.reading.pictures import MISSING, ImageError
from cultureclip.reading.text import RefusedError, first_line

_INFO, _STATE = "dataset_info.json", "state.json"
_REMEDY = "Fetch it again, or write it again with save_to_disk"


class ArrowFormat(Format):
    """A folder of ``Dataset.save_to_disk``; with ``split`` one of ``DatasetDict.save_to_disk``."""

    type: Literal["arrow"]
    split: str | None = None

    def pattern(self) -> str:
        """Return the name of the description that every such folder has."""
        return f"{self.split}/{_INFO}" if self.split else _INFO

    def read(self, path: Path) -> Source:
        """Return the rows of all files that the folder's ``state.json`` lists.

        Raises:
            SourceDataError: if a file of the folder is missing or damaged, or ``state.json`` names one outside.
        """
        folder = self.find(path)[0].parent
        return Source(_list_rows(_list_files(folder), folder))


class ArrowCells:
    """The cells of one Arrow file, mapped into memory at the first access.

    Args:
        file: The file.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[type["ArrowCells"], tuple[Path]]:
        return ArrowCells, (self.file,)

    @cached_property
    def table(self) -> pa.Table:
        """The whole file as a table."""
        return pa.ipc.open_stream(pa.memory_map(str(self.file))).read_all()

    def value(self, row: int, column: str) -> Any:
        """Return the value of a cell.

        Raises:
            ImageError: if the file is gone.
        """
        try:
            return self.table[column][row].as_py()
        except (pa.ArrowException, OSError) as error:
            raise ImageError(MISSING) from error


def _list_files(folder: Path) -> list[Path]:
    """Return the folder's data files.

    Raises:
        SourceDataError: if its descriptions are missing or damaged, or name no readable files.
    """
    for name in (_INFO, _STATE):
        try:
            described = read_object(folder / name)
        except (OSError, RefusedError) as error:
            raise SourceDataError(folder / name, f"not of a saved dataset ({error})", _REMEDY) from error
    if described.get("_indices_data_files"):
        remedy = "Save it again after flatten_indices()"
        raise SourceDataError(folder / _STATE, "its rows are a selection from the files", remedy)
    try:
        return [find_inside(folder, str(part["filename"])) for part in described["_data_files"]]
    except (KeyError, TypeError) as error:
        raise SourceDataError(folder / _STATE, "it lists no data files", _REMEDY) from error
    except RefusedError as error:
        raise SourceDataError(folder / _STATE, str(error), _REMEDY) from error


def _list_rows(files: Sequence[Path], folder: Path) -> Iterator[Row]:
    count = 0
    for file in files:
        cells = ArrowCells(file)
        try:
            images = find_image_columns(cells.table.schema)
            for start in range(0, len(cells.table), BATCH):
                for row, record in enumerate(cells.table.slice(start, BATCH).to_pylist(), start):
                    count += 1
                    yield make_row(f"row {count}", record, images, PictureCell(cells, folder, row, ""))
        except (pa.ArrowException, OSError, ValueError) as error:
            raise SourceDataError(file, f"cannot be read as Arrow ({first_line(error)})", _REMEDY) from error
