"""Any table as JSON: a list of objects, or one object per line, with the names of pictures below a folder."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from cultureclip.benchmarks.pictures import FileIn
from cultureclip.benchmarks.rows import ColumnKinds, Format, Row, Source, check_columns, rename
from cultureclip.errors import SourceDataError
from cultureclip.reading.json_text import parse_json
from cultureclip.reading.text import MAX_DATA_BYTES, RefusedError, normalise, read_bytes


class JsonRowsFormat(Format):
    """JSON lists of objects, or JSON Lines, in the order of the files' names; fields of objects as ``metadata.answer``.

    A protocol's picture columns hold names of files below ``pictures``, one or a list.
    """

    type: Literal["json_rows"]
    files: str = Field(default="*.json*", min_length=1, description="Glob of the files")
    pictures: str = Field(default="", description="Folder of the pictures")

    def pattern(self) -> str:
        """Return the glob of the files."""
        return self.files

    def read(self, path: Path) -> Source:
        """Return the rows with the names of pictures as texts.

        Raises:
            SourceDataError: if a file is not JSON, or holds something else than objects.
        """
        return Source(Row(place, _flatten(record), {}) for place, record in self._records(path))

    def read_as(self, path: Path, columns: Mapping[str, str], kinds: ColumnKinds) -> Source:
        """Return the rows under the protocol's names, with its pictures.

        Raises:
            SourceDataError: see :meth:`read`; also if no row has a column that ``columns`` names.
        """
        rows = [(row.place, normalise(row.values)) for row in self.read(path).rows]
        check_columns(path, normalise(columns), {name for _, values in rows for name in values})
        folder = path / self.pictures
        return Source(_make_row(place, rename(values, normalise(columns)), folder, kinds) for place, values in rows)

    def _records(self, path: Path) -> Iterable[tuple[str, Mapping[str, Any]]]:
        files = self.find(path)
        for file in files:
            for number, record in enumerate(_read(file), 1):
                place = f"{file.name}, {number}" if len(files) > 1 else f"row {number}"
                if not isinstance(record, Mapping):
                    raise SourceDataError(f"{file}, {number}", "not a JSON object", "Give objects, one per row")
                yield place, record


def _read(file: Path) -> list[Any]:
    """Return the rows of a file: the items of its list, or its lines."""
    try:
        data = read_bytes(file, MAX_DATA_BYTES)
        if data.lstrip()[:1] == b"[":
            found = parse_json(data)
            return found if isinstance(found, list) else [found]
        return [parse_json(line) for line in data.split(b"\n") if line.strip()]
    except (OSError, RefusedError) as error:
        raise SourceDataError(file, f"cannot be read as rows of JSON ({error})", "Fetch it again") from error


def _make_row(place: str, values: Mapping[str, Any], folder: Path, kinds: ColumnKinds) -> Row:
    pictures = {
        column: tuple(FileIn(folder, str(name or "")) for name in _listed(values[column]))
        for column in kinds.pictures
        if values.get(column) not in (None, "", [])
    }
    return Row(place, {name: value for name, value in values.items() if name not in kinds.pictures}, pictures)


def _listed(cell: object) -> list[Any]:
    return cell if isinstance(cell, list) else [cell]


def _flatten(record: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in record.items():
        flat |= _flatten(value, f"{before}{name}.") if isinstance(value, Mapping) else {f"{before}{name}": value}
    return flat
