"""The rows of values and pictures that every format gives, and their intake: each picture is decoded once."""

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from cultureclip.benchmarks.decoded import Decoded, decode_once
from cultureclip.benchmarks.pictures import LazyPictures, Located, StoredImage
from cultureclip.benchmarks.protocols.items import Unposed
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import SourceDataError
from cultureclip.reading.names import unicode_forms
from cultureclip.reading.pictures import ImageError
from cultureclip.reading.text import normalise

Cell = TypeVar("Cell")
_HALF = re.compile("[\ud800-\udfff]")
_LISTED = 20


@dataclass(frozen=True)
class Row:
    """One row as its owner wrote it.

    Attributes:
        place: Place for messages: file and line, row or key.
        values: Column -> value that is not a picture.
        pictures: Column -> its pictures, one or several.
    """

    place: str
    values: Mapping[str, Any]
    pictures: Mapping[str, tuple[Located, ...]]


@dataclass(frozen=True)
class Source:
    """All rows of a benchmark, with the class names and templates that its owner gives.

    Attributes:
        rows: The rows, in the owner's order.
        classes: Class names by label, for zero-shot classification.
        templates: Texts with ``{c}`` for the class name.
    """

    rows: Iterable[Row]
    classes: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()


@dataclass(frozen=True)
class Taken:
    """A row whose pictures could be decoded: ``images`` has their keys by column."""

    place: str
    values: Mapping[str, Any]
    images: Mapping[str, tuple[str, ...]]

    def image(self, column: str) -> str | None:
        """Return the key of a column's one picture, or None; the intake has counted why it is missing."""
        return next(iter(self.images.get(column, ())), None)


@dataclass(frozen=True)
class Intake:
    """The rows and pictures that remain after every picture was tried.

    Attributes:
        rows: The rows.
        pictures: Their pictures.
        left_out: What is left out, and why.
        classes: See :class:`Source`.
        templates: See :class:`Source`.
    """

    rows: tuple[Taken, ...]
    pictures: LazyPictures
    left_out: tuple[Unposed, ...]
    classes: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()


IMAGE = "image"
"""The column of a row's one picture, under the name that every protocol gives it."""


def complete_rows(intake: Intake, *columns: str) -> tuple[list[tuple[Taken, str, tuple[str, ...]]], list[Unposed]]:
    """Return the rows that have a picture and every text, and what was left out so far.

    Args:
        intake: All rows.
        columns: Names of the texts.

    Returns:
        (row, key of its picture, its texts) per row; and the items that were left out.
    """
    complete, left_out = [], list(intake.left_out)
    for row in intake.rows:
        image = row.image(IMAGE)
        texts = tuple(text_of(row, column) for column in columns)
        if image is None:
            left_out += without_image(row)
        elif "" in texts:
            left_out.append(Unposed(row.place, f"no {columns[texts.index('')]}"))
        else:
            complete.append((row, image, texts))
    return complete, left_out


def without_image(row: Taken) -> list[Unposed]:
    """Say why a row has no picture; empty if it names one, because the intake has then given the reason."""
    return [] if IMAGE in row.images else [Unposed(row.place, f"no {IMAGE}")]


def text_of(row: Taken, column: str) -> str:
    """Return a column's text, stripped; empty where there is none."""
    value = row.values.get(column)
    return value.strip() if isinstance(value, str) else ""


class ColumnKinds(Protocol):
    """Which columns of a protocol hold pictures or lists instead of plain texts."""

    @property
    def pictures(self) -> tuple[str, ...]:
        """Columns of pictures."""

    @property
    def lists(self) -> tuple[str, ...]:
        """Columns of several values."""


class Format(BaseModel, ABC):
    """A benchmark's format on disk; one subclass per format, whose fields are the entry's fields under ``format``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @abstractmethod
    def pattern(self) -> str:
        """Return the glob of the files with the rows, below the entry's path; empty if the path itself is that file."""

    @abstractmethod
    def read(self, path: Path) -> Source:
        """Read the rows of a benchmark that :meth:`find` has found.

        Raises:
            SourceDataError: if a file is damaged or does not match the format.
        """

    def read_as(self, path: Path, columns: Mapping[str, str], kinds: ColumnKinds) -> Source:  # noqa: ARG002 - for tables
        """Read the rows under the protocol's names of columns, with every text in Unicode's composed form (NFC).

        Args:
            path: Path that :meth:`find` has found.
            columns: The protocol's name of a column -> the owner's.
            kinds: Which of the protocol's columns are pictures or lists, for a table that has only texts.

        Raises:
            SourceDataError: see :meth:`read`; also if no row has a column that ``columns`` names.
        """
        source = self.read(path)
        rows = _rename_all(source.rows, path, columns)
        return Source(rows, normalise(source.classes), normalise(source.templates))

    def find(self, path: Path) -> list[Path]:
        """List the files that hold the rows, by name; empty if the benchmark is absent."""
        pattern = self.pattern()
        if not pattern:
            return [path] * path.is_file()
        return sorted({file for form in unicode_forms(pattern) for file in path.glob(form)})


def _rename_all(rows: Iterable[Row], path: Path, columns: Mapping[str, str]) -> Iterator[Row]:
    columns, found = normalise(columns), set[str]()
    for row in rows:
        values, pictures = normalise(row.values), {normalise(name): cell for name, cell in row.pictures.items()}
        found |= {*values, *pictures}
        yield Row(row.place, rename(values, columns), rename(pictures, columns))
    if found:
        check_columns(path, columns, found)


def check_columns(path: Path, columns: Mapping[str, str], found: Collection[str]) -> None:
    """Make sure that a table has the columns that its entry names.

    Args:
        path: The table, or its folder.
        columns: The protocol's name of a column -> the owner's.
        found: The owner's names of the existing columns.

    Raises:
        SourceDataError: if a column is missing.
    """
    for ours, theirs in columns.items():
        if theirs not in found:
            listed = ", ".join(sorted(found)[:_LISTED]) + (", ..." if len(found) > _LISTED else "")
            cause = f"no column {theirs!r}, which the entry gives for {ours}; there are {listed}"
            raise SourceDataError(path, cause, "Correct columns in the catalog entry")


def rename(cells: Mapping[str, Cell], columns: Mapping[str, str]) -> dict[str, Cell]:
    """Return a row's cells under the protocol's names of columns.

    An owner's column is dropped if the protocol uses its name for another column.
    """
    named = {ours: cells[theirs] for ours, theirs in columns.items() if theirs in cells}
    taken = {*columns, *columns.values()}
    return named | {name: cell for name, cell in cells.items() if name not in taken}


def take_in(source: Source, kept: KeyedStore | None = None) -> Intake:
    """Decode every picture once, so that a broken one is counted now and not found in the middle of a run.

    Files with the same pixels are one picture, whatever their format or metadata. Its key is the smallest of the files'
    keys. A picture that cannot be used is left out with its reason; other pictures of its column stay. A row with a
    text that cannot be encoded is left out too.

    Args:
        source: The rows.
        kept: What earlier loads found out about pictures: those of unchanged files are not read; None: all are.

    Raises:
        SourceDataError: if a table of pictures is damaged.
        StorageError: if the store cannot be read or written.
    """
    rows, left_out = [], []
    for row in source.rows:
        if _is_unicode(row.values):
            rows.append(row)
        else:
            left_out.append(Unposed(row.place, "a text is not valid Unicode"))
    places = dict.fromkeys(where for row in rows for pictures in row.pictures.values() for where in pictures)
    found = _by_content(decode_once(places, kept))
    taken = []
    for row in rows:
        images: dict[str, tuple[str, ...]] = {}
        for column, pictures in row.pictures.items():
            results = [found[where] for where in pictures]
            images[column] = tuple(result[0] for result in results if not isinstance(result, ImageError))
            left_out += [Unposed(row.place, str(error)) for error in results if isinstance(error, ImageError)]
        taken.append(Taken(row.place, row.values, images))
    stored = dict(result for result in found.values() if not isinstance(result, ImageError))
    return Intake(tuple(taken), LazyPictures(stored, kept), tuple(left_out), source.classes, source.templates)


def _is_unicode(value: object) -> bool:
    """Tell whether all texts in a value can be encoded: JSON may hold lone surrogates, which UTF-8 cannot represent."""
    if isinstance(value, str):
        return _HALF.search(value) is None
    if isinstance(value, Mapping):
        return all(map(_is_unicode, value.values()))
    if is_dataclass(value):
        return _is_unicode(vars(value))
    return not isinstance(value, list | tuple) or all(map(_is_unicode, value))


def _by_content(
    found: Mapping[Located, Decoded | ImageError],
) -> dict[Located, tuple[str, StoredImage] | ImageError]:
    """Return the key of each picture and where it is read: of several with the same pixels, the one of smallest key."""
    first: dict[str, tuple[str, StoredImage]] = {}
    for where, picture in found.items():
        if isinstance(picture, Decoded) and picture.key <= first.get(picture.content, (picture.key,))[0]:
            first[picture.content] = picture.key, picture.at(where)
    return {where: first[one.content] if isinstance(one, Decoded) else one for where, one in found.items()}
