"""Parquet files as the Hugging Face Hub serves them, read in place: nothing is copied and nothing cached."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from cultureclip.benchmarks.formats.parquet_cells import ParquetCells, PictureStreams, list_starts, open_parquet
from cultureclip.benchmarks.formats.table_rows import BATCH, PictureCell, find_image_columns, make_row
from cultureclip.benchmarks.rows import Format, Row, Source
from cultureclip.errors import SourceDataError
from cultureclip.reading.text import first_line, normalise

_REMEDY = "Fetch it again"


class ParquetFormat(Format):
    """Parquet files such as ``data/test-00000-of-00004-<hash>.parquet``."""

    type: Literal["parquet"]
    files: str = Field(default="**/*.parquet", min_length=1)

    def pattern(self) -> str:
        """Return the glob of the parquet files that ``files`` names, by default all."""
        return self.files

    def read(self, path: Path) -> Source:
        """Return the rows of all files in the order of their names; a picture's bytes are read at its first access.

        Raises:
            SourceDataError: if a file is damaged, or its columns are not those of the files before it.
        """
        files = self.find(path)
        _check_schemas(files)
        return Source(_list_rows(files, path))


def _list_rows(files: Sequence[Path], folder: Path) -> Iterator[Row]:
    streams, count = PictureStreams(), 0
    for file in files:
        with _reading(file), open_parquet(file) as table:
            cells = ParquetCells(file, list_starts(table.metadata), streams)
            images = find_image_columns(table.schema_arrow)
            start = 0
            for batch in table.iter_batches(BATCH, columns=_without_bytes(table, images)):
                for row, record in enumerate(batch.to_pylist(), start):
                    count += 1
                    yield make_row(f"row {count}", record, images, PictureCell(cells, folder, row, ""))
                start += batch.num_rows


def _without_bytes(table: pq.ParquetFile, images: set[str]) -> list[str]:
    """Return the paths of all leaves but those that hold the bytes of images."""
    paths = [table.schema.column(place).path for place in range(len(table.schema))]
    heavy = {
        path
        for path in paths
        for image in images
        if path == image or (path.startswith(f"{image}.") and path.endswith(".bytes"))
    }
    kinds = {column.name: column.type for column in table.schema_arrow}
    return [path for path in paths if path not in heavy or _holds_text(kinds.get(path))]


def _holds_text(kind: pa.DataType | None) -> bool:
    return kind is not None and bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _check_schemas(files: Sequence[Path]) -> None:
    """Make sure that all files have the same columns of compatible types; a file without rows is not checked.

    Raises:
        SourceDataError: if columns differ; the error names the file and the column.
    """
    known: dict[str, tuple[pa.DataType, Path]] = {}
    for file in files:
        with _reading(file), open_parquet(file) as table:
            schema, rows = table.schema_arrow, table.metadata.num_rows
        names = Counter(map(normalise, schema.names))
        if repeated := [name for name, count in names.items() if count > 1]:
            raise SourceDataError(file, f"two columns are called {repeated[0]!r}", "Rename or remove one")
        if not rows:
            continue
        if known and (odd := sorted(known.keys() ^ names.keys())):
            one = next(iter(known.values()))[1]
            cause = f"it lacks column {odd[0]!r}" if odd[0] in known else f"column {odd[0]!r} is not in {one.name}"
            raise SourceDataError(file, cause, "Give all files the same columns, or name the right ones under files")
        for column in schema:
            name = normalise(column.name)
            kind, first = known.get(name, (column.type, file))
            known[name] = (_common_type(kind, column.type, file, name, first), first)


def _common_type(kind: pa.DataType, other: pa.DataType, file: Path, name: str, first: Path) -> pa.DataType:
    schemas = [pa.schema([pa.field("", one)]) for one in (kind, other)]
    try:
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except pa.ArrowException as error:
        cause = f"column {name!r} is {other}, but {kind} in {first.name}"
        raise SourceDataError(file, cause, "Write the column in one type in all files") from error


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:  # a text that is not UTF-8 raises ValueError
        raise SourceDataError(file, f"cannot be read as parquet ({first_line(error)})", _REMEDY) from error
