"""What every format of rows gives: texts and pictures of two sides, under this project's names of columns."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cultureclip.benchmarks.pictures import FileIn
from cultureclip.benchmarks.rows import Row, check_columns
from cultureclip.concepts.sources.tally import Tally
from cultureclip.errors import SourceDataError
from cultureclip.reading.names import unicode_forms
from cultureclip.reading.pictures import Encoded
from cultureclip.reading.text import normalise
from cultureclip.tables import SIDES

ID_FIELDS = ("row_id", *(f"{side}_{field}_id" for side in SIDES for field in ("concept", "caption", "image")))
"""Ids that our own exports give; all other formats get theirs from the content."""
ROW_FIELDS = ("category", "split", "licence")
"""What a row may say of itself."""
SIDE_FIELDS = ("image", "caption", "concept", "cultures")
FIELDS = (*ID_FIELDS, *ROW_FIELDS, *(f"{side}_{field}" for side in SIDES for field in SIDE_FIELDS))
"""All that a row can say, by our names of columns."""


@dataclass(frozen=True)
class TwinRow:
    """One row as its owner wrote it.

    Attributes:
        place: Place for messages: file and line, row or key.
        texts: Name in :data:`FIELDS` -> text, stripped and in Unicode's composed form; absent where there is none.
        pictures: Side -> its picture; absent where the row names none.
    """

    place: str
    texts: Mapping[str, str]
    pictures: Mapping[str, Encoded]


class RowFormat(BaseModel, ABC):
    """A format; one subclass each, whose fields are the entry's fields under ``format``.

    Attributes:
        type: Name of the format.
        columns: Our name of a column -> the owner's, where it is not the format's own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    own_columns: ClassVar[Mapping[str, str]]
    """Our name of a column -> the format's."""
    one_picture: ClassVar[bool] = False
    """Whether rows have one picture: it stands on both sides, and objectives that learn from the negative's refuse."""
    captions_alone: ClassVar[bool] = False
    """Whether rows name no concepts: each caption is a concept of its own then."""
    names_columns: ClassVar[bool] = True
    """Whether all rows have the same columns, so that a missing one is seen in the first row."""

    type: str
    columns: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_columns(self) -> Self:
        if unknown := sorted(self.columns.keys() - set(FIELDS)):
            raise ValueError(f"columns: nothing is called {unknown[0]}; there are {', '.join(FIELDS)}")
        return self

    @abstractmethod
    def pattern(self) -> str:
        """Return the glob of the files with the rows, below the entry's path; empty if the path itself is that file."""

    @abstractmethod
    def rows(self, path: Path, tally: Tally) -> Iterator[Row]:
        """Yield the rows under the owner's names, one at a time; a damaged row is counted.

        Raises:
            SourceDataError: if a file is damaged or is not of this format.
        """

    def folder(self, path: Path) -> Path:
        """Return the folder that names of picture files count from."""
        return path if path.is_dir() else path.parent

    def find(self, path: Path) -> list[Path]:
        """List the files that hold the rows, by name; empty if there are none."""
        pattern = self.pattern()
        if not pattern:
            return [path] * path.is_file()
        return sorted({file for form in unicode_forms(pattern) for file in path.glob(form)})

    def read(self, path: Path, tally: Tally) -> Iterator[TwinRow]:
        """Yield the rows under our names, one at a time.

        Raises:
            SourceDataError: if there is no such file, one is damaged, or a column that a row needs is not there.
        """
        if not self.find(path):
            cause = f"no {self.pattern() or 'such file'} there, so there are no rows of the form {self.type}"
            raise SourceDataError(path, cause, "Put the owner's files there, or correct filepath in the catalog entry")
        columns = normalise({**self.own_columns, **self.columns})
        folder = self.folder(path)
        first = True
        for row in self.rows(path, tally):
            values, pictures = normalise(row.values), {normalise(name): cell for name, cell in row.pictures.items()}
            if first and self.names_columns:
                check_columns(path, {ours: columns[ours] for ours in self.required()}, {*values, *pictures})
            first = False
            yield _to_twin_row(Row(row.place, values, pictures), columns, folder)

    def required(self) -> tuple[str, ...]:
        """Return the columns without which there is no row."""
        fields = ("caption",) if self.captions_alone else ("caption", "concept")
        images = ("pos_image",) if self.one_picture else tuple(f"{side}_image" for side in SIDES)
        return (*images, *(f"{side}_{field}" for side in SIDES for field in fields))


def _to_twin_row(row: Row, columns: Mapping[str, str], folder: Path) -> TwinRow:
    texts = {ours: text for ours, theirs in columns.items() if (text := _as_text(row.values.get(theirs)))}
    pictures: dict[str, Encoded] = {}
    for side in SIDES:
        name = columns.get(f"{side}_image", "")
        if row.pictures.get(name):
            pictures[side] = row.pictures[name][0]
        elif file := texts.get(f"{side}_image"):
            pictures[side] = FileIn(folder, file)
    return TwinRow(row.place, texts, pictures)


def _as_text(value: Any) -> str:
    """Return a cell's text; of a list its texts, separated as :mod:`cultureclip.exchange.sides` reads them."""
    if isinstance(value, list | tuple):
        return "|".join(part.strip() for part in value if isinstance(part, str))
    return value.strip() if isinstance(value, str) else ""
