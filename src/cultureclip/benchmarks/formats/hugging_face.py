"""Datasets of the Hugging Face Hub on disk: parquet files, or a folder that ``save_to_disk`` wrote."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from cultureclip.benchmarks.pictures import Encoded, FileIn
from cultureclip.benchmarks.rows import Format, Row, Source
from cultureclip.errors import SourceDataError

if TYPE_CHECKING:  # it takes a second to import, and only who reads such files needs it
    from datasets import Dataset

_BATCH = 16  # a row may hold a dozen photographs
_IMAGE_FIELDS = {"bytes", "path"}
"""What the library stores of an image."""


class ParquetFormat(Format):
    """Parquet files as the hub serves them: ``data/test-00000-of-00004-<hash>.parquet``."""

    type: Literal["parquet"]
    files: str = Field(default="**/*.parquet", min_length=1)

    def pattern(self) -> str:
        """Every parquet file, or those that ``files`` names."""
        return self.files

    def read(self, path: Path) -> Source:
        """Rows of all files; they are mapped into memory from a copy in the ``datasets`` library's own cache."""
        from datasets import load_dataset
        from datasets.exceptions import DatasetGenerationError
        from pyarrow import ArrowException

        try:
            table = load_dataset("parquet", data_files=[str(file) for file in self.find(path)], split="train")
        except (ArrowException, DatasetGenerationError, OSError, ValueError) as error:
            raise SourceDataError(path, f"no parquet files ({_first_line(error)})", "Fetch them again") from error
        return Source(_read_rows(table, path))


class ArrowFormat(Format):
    """A folder of ``Dataset.save_to_disk``; with ``split`` one of ``DatasetDict.save_to_disk``."""

    type: Literal["arrow"]
    split: str | None = None

    def pattern(self) -> str:
        """The description that every such folder has."""
        return f"{self.split}/dataset_info.json" if self.split else "dataset_info.json"

    def read(self, path: Path) -> Source:
        """Rows of the folder, mapped into memory where they lie."""
        from datasets import load_from_disk
        from pyarrow import ArrowException

        folder = self.find(path)[0].parent
        try:
            return Source(_read_rows(load_from_disk(str(folder)), folder))
        except (ArrowException, OSError, ValueError, KeyError) as error:
            raise SourceDataError(folder, f"no saved dataset ({_first_line(error)})", "Fetch it again") from error


@dataclass(frozen=True)
class Cell:
    """An image in a table: its row, column, and place in a cell that holds a list of them."""

    table: "Dataset" = field(repr=False)
    row: int
    column: str
    place: int | None = None

    def read(self) -> bytes:
        """The bytes that the cell holds."""
        value = self.table[self.row][self.column][0].as_py()
        return (value if self.place is None else value[self.place])["bytes"]


def _read_rows(table: "Dataset", folder: Path) -> Iterator[Row]:
    """Rows with the fields of structs under dotted names (``metadata.answer``) and images as places in the table."""
    table = table.with_format("arrow")  # as stored: images are not decoded
    for start in range(0, len(table), _BATCH):
        for number, record in enumerate(table[start : start + _BATCH].to_pylist(), start):
            pictures: dict[str, tuple[Encoded, ...]] = {}
            values: dict[str, Any] = {}
            for column, value in record.items():
                if _is_image(value):
                    pictures[column] = (_place(value, Cell(table, number, column), folder),)
                elif isinstance(value, list) and value and all(map(_is_image, value)):
                    pictures[column] = tuple(
                        _place(image, Cell(table, number, column, i), folder) for i, image in enumerate(value)
                    )
                else:
                    values |= _flatten(column, value)
            yield Row(f"row {number + 1}", values, pictures)


def _is_image(value: object) -> bool:
    return isinstance(value, dict) and value.keys() == _IMAGE_FIELDS


def _place(image: Mapping[str, Any], cell: Cell, folder: Path) -> Encoded:
    """Where an image's bytes are: in the table, or in a file that it names instead."""
    return cell if image["bytes"] else FileIn(folder, image["path"] or "")


def _flatten(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {name: value}
    return {key: leaf for part, inner in value.items() for key, leaf in _flatten(f"{name}.{part}", inner).items()}


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
