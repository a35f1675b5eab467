"""Pictures in parquet files, read from front to back: a column of a row group cannot be entered in the middle."""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cultureclip.benchmarks.formats.table_rows import BATCH
from cultureclip.errors import SourceDataError
from cultureclip.reading.pictures import MISSING, ImageError

_BUFFER = 2**20
_KEPT_BYTES = 2**28
_KEPT_LEAST = 4 * BATCH
"""Values that are kept whatever their size, because threads that read ahead are at different rows."""
_OPEN_STREAMS = 8

Place = tuple[Path, int, str]
"""A file, the number of a row group, and the name of a column."""


def open_parquet(file: Path) -> pq.ParquetFile:
    """Open a file so that a row group is read in small pieces, whatever its size."""
    return pq.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False)


class PictureStreams:
    """Reads columns of row groups in batches and keeps the last ones read: 256 MiB, or 64 cells if those are more.

    A reader that asks for pictures in the order of the files decodes each batch once; one that goes back starts the row
    group again. Threads may share a reader. Another process gets an empty one.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._streams: OrderedDict[Place, tuple[int, Iterator[pa.RecordBatch]]] = OrderedDict()
        self._kept: OrderedDict[tuple[Place, int], Any] = OrderedDict()
        self._bytes = 0

    def __reduce__(self) -> tuple[type["PictureStreams"], tuple[()]]:
        return PictureStreams, ()

    def value(self, place: Place, row: int) -> Any:
        """Return the value in a row of the row group.

        Raises:
            ImageError: if the file is missing.
            SourceDataError: if the file cannot be read, or has fewer rows than when it was listed.
        """
        with self._lock:
            if (place, row) not in self._kept:
                self._read_up_to(place, row)
            return self._kept[place, row]

    def _read_up_to(self, place: Place, row: int) -> None:
        start, batches = self._streams.pop(place, (0, None))
        if batches is None or start > row:
            start, batches = 0, _read_column(place)
        try:
            while start <= row:
                values = next(batches).column(0).to_pylist()
                for number, value in enumerate(values, start):
                    self._keep((place, number), value)
                start += len(values)
        except FileNotFoundError as error:
            raise ImageError(MISSING) from error
        except (StopIteration, KeyError, pa.ArrowException, OSError, ValueError) as error:
            cause = f"row group {place[1]}, column {place[2]!r}: {str(error) or 'it has fewer rows than it had'}"
            raise SourceDataError(place[0], cause, "Fetch it again; do not change it while a run reads it") from error
        self._streams[place] = start, batches
        while len(self._streams) > _OPEN_STREAMS:
            self._streams.popitem(last=False)
        while self._bytes > _KEPT_BYTES and len(self._kept) > _KEPT_LEAST:
            self._bytes -= _size(self._kept.popitem(last=False)[1])

    def _keep(self, key: tuple[Place, int], value: Any) -> None:
        if key not in self._kept:
            self._bytes += _size(value)
        self._kept[key] = value
        self._kept.move_to_end(key)


@dataclass(frozen=True, eq=False)
class ParquetCells:
    """The cells of one file.

    Attributes:
        file: The file.
        starts: The first row of each of its row groups.
        streams: Reader, shared with the other files of the benchmark.
    """

    file: Path
    starts: tuple[int, ...] = field(repr=False)
    streams: PictureStreams = field(repr=False)

    def value(self, row: int, column: str) -> Any:
        """Return the value of a cell; see :meth:`PictureStreams.value`."""
        group = bisect_right(self.starts, row) - 1
        return self.streams.value((self.file, group, column), row - self.starts[group])


def list_starts(metadata: pq.FileMetaData) -> tuple[int, ...]:
    """Return the first row of each row group."""
    sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    return tuple(accumulate(sizes, initial=0))[:-1]


def _read_column(place: Place) -> Iterator[pa.RecordBatch]:
    file, group, column = place
    with open_parquet(file) as table:
        for batch in table.iter_batches(BATCH, row_groups=[group], columns=[column]):
            yield batch.select([column])


def _size(value: Any) -> int:
    """Return the bytes of an image, or of a list of images; other values count 0."""
    if isinstance(value, dict):
        return _size(value.get("bytes"))
    if isinstance(value, list):
        return sum(map(_size, value))
    return len(value) if isinstance(value, bytes | str) else 0
