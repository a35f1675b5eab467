"""Rows of tables in Arrow's types, and the pictures in their cells as the Hugging Face libraries store them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from cultureclip.benchmarks.pictures import FileIn
from cultureclip.benchmarks.rows import Row
from cultureclip.reading.json_text import parse_object
from cultureclip.reading.pictures import MISSING, ImageError
from cultureclip.reading.stamps import stamp_file
from cultureclip.reading.text import RefusedError

BATCH = 16
"""Rows per read: one row may hold a dozen photographs."""
_FIELDS = {"bytes", "path"}
"""Fields that the libraries store of an image: its bytes, or the path of a file beside the table."""


class Cells(Protocol):
    """The cells of a table on disk."""

    def value(self, row: int, column: str) -> Any:
        """Return a cell as Python values.

        Raises:
            ImageError: if the file is missing.
            SourceDataError: if it can no longer be read.
        """

    @property
    def file(self) -> Path:
        """The file that the table is in."""


@dataclass(frozen=True)
class PictureCell:
    """An image in a table.

    Attributes:
        cells: The table.
        folder: Folder of the files that cells name.
        row: Its row.
        column: Its column.
        place: Its position if the cell holds a list.
        named: File that the cell names, beside the bytes or instead of them; empty if it names none.
    """

    cells: Cells = field(repr=False)
    folder: Path
    row: int
    column: str
    place: int | None = None
    named: str = ""

    def read(self) -> bytes:
        """Return the bytes in the cell, or the bytes of the file that the cell names.

        Raises:
            ImageError: if there are no bytes.
        """
        image = self.cells.value(self.row, self.column)
        if self.place is not None:
            image = image[self.place]
        fields = image if isinstance(image, dict) else {"path" if isinstance(image, str) else "bytes": image}
        if fields.get("bytes"):
            return bytes(fields["bytes"])
        if not fields.get("path"):
            raise ImageError(MISSING)
        return FileIn(self.folder, fields["path"]).read()

    def stamp(self) -> str | None:
        """Return the table's stamp with the cell's place, and the stamp of a file that the cell names."""
        table, beside = stamp_file(self.cells.file), FileIn(self.folder, self.named)
        return table and f"{table}|{self.row}|{self.column}|{self.place}|{beside.stamp()}"


def find_image_columns(schema: pa.Schema) -> set[str]:
    """Return the columns of images, or of lists of images: by type, or as declared by the ``datasets`` library."""
    declared = _declared_images(schema.metadata or {})
    return {column.name for column in schema if column.name in declared or _is_image(column.type)}


def make_row(place: str, record: Mapping[str, Any], images: Collection[str], picture: PictureCell) -> Row:
    """Return a row with the fields of structs under dotted names (``metadata.answer``).

    Args:
        place: Place of the row for messages.
        record: Column -> value. An image that holds only bytes may be left out; of other images the bytes may be.
        images: Names of the image columns.
        picture: A cell of the row, in any column.
    """
    values: dict[str, Any] = {}
    pictures: dict[str, tuple[PictureCell, ...]] = {}
    for column in [*record, *(name for name in images if name not in record)]:
        value = record.get(column)
        whole = PictureCell(picture.cells, picture.folder, picture.row, column)
        if column not in images or (column in record and value in (None, [])):
            values |= _flatten(column, value)
        elif isinstance(value, list):
            pictures[column] = tuple(
                replace(whole, place=place, named=_name_in(image)) for place, image in enumerate(value)
            )
        else:
            pictures[column] = (replace(whole, named=_name_in(value)),)
    return Row(place, values, pictures)


def _name_in(image: object) -> str:
    """Return the file that an image's cell names."""
    name = image.get("path") if isinstance(image, dict) else image
    return name if isinstance(name, str) else ""


def _is_image(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    return bool(pa.types.is_struct(kind)) and {inner.name for inner in kind} == _FIELDS


def _declared_images(metadata: Mapping[bytes, bytes]) -> set[str]:
    """Return the columns that ``datasets`` declares as images: of bytes, paths, or structs with one of the two."""
    try:
        features = parse_object(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return {name for name, feature in features.items() if feature.get("_type") == "Image"}
    except (RefusedError, KeyError, TypeError, AttributeError):  # the declaration is optional
        return set()


def _flatten(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {name: value}
    return {key: leaf for part, inner in value.items() for key, leaf in _flatten(f"{name}.{part}", inner).items()}
