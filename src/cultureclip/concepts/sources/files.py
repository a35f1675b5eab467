"""An owner's files as rows: CSV and TSV, JSON lines, JSON lists; damaged rows are counted, damaged files refused."""

import csv
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from cultureclip.concepts.sources.tally import MALFORMED, NOT_UTF8, Tally
from cultureclip.errors import SourceDataError
from cultureclip.reading.json_text import parse_json, parse_object
from cultureclip.reading.stream import LineStream
from cultureclip.reading.text import RefusedError


def find_files(path: str, patterns: Iterable[str]) -> list[Path]:
    """Return the file that a path names, or the files of a folder with an owner's names, in the order of their paths.

    Raises:
        SourceDataError: if there is no such file or folder, or no such file in the folder.
    """
    place = Path(path)
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise SourceDataError(path, "no such file or folder", "Give the path of the owner's file or folder")
    found = sorted({file for pattern in patterns for file in place.rglob(pattern) if file.is_file()})
    if not found:
        raise SourceDataError(path, f"no file {' or '.join(patterns)} in it", "Give the owner's folder, or one file")
    return found


def read_rows(
    path: Path, tally: Tally, *, delimiter: str = ",", strict: bool = True
) -> Iterator[tuple[int, list[str]]]:
    """Yield (line that it begins on, cells) of every row of a CSV or TSV, the header among them.

    Rows that cannot be split into cells or are not UTF-8 are counted and left out; empty lines are no rows. A cell has
    at most as many characters as :func:`csv.field_size_limit` says, 131,072 unless a program changes it.

    Args:
        path: The file, which may be compressed.
        tally: Where rows are counted.
        delimiter: Between cells.
        strict: Whether quotes that stand wrongly make a row malformed.
    """
    stream = LineStream(path)
    reader = csv.reader(iter(stream), delimiter=delimiter, strict=strict)
    while True:
        line, stream.broken = stream.number + 1, False
        try:
            cells = next(reader, None)
        except csv.Error:
            tally.rows += 1
            tally.drop(MALFORMED, _place(path, line, stream.number))
            continue
        if cells is None:
            break
        if not cells:
            continue
        tally.rows += 1
        if stream.broken:
            tally.drop(NOT_UTF8, _place(path, line))
        else:
            yield line, cells
    _finish(stream, tally)


def read_table(
    path: Path, tally: Tally, needed: Iterable[str], *, delimiter: str = ",", strict: bool = True
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (place, cells by column) of every row of a table with one header.

    Raises:
        SourceDataError: if there is no header, two columns have one name, or a needed column is missing.
    """
    rows = read_rows(path, tally, delimiter=delimiter, strict=strict)
    header = read_header(path, rows, tally, needed)
    for line, cells in rows:
        if len(cells) == len(header):
            yield _place(path, line), dict(zip(header, cells, strict=True))
        else:
            tally.drop(MALFORMED, _place(path, line))


def read_header(path: Path, rows: Iterator[tuple[int, list[str]]], tally: Tally, needed: Iterable[str]) -> list[str]:
    """Take the header off the rows of a table and check it.

    Raises:
        SourceDataError: see :func:`read_table`.
    """
    first = next(rows, None)
    if first is None:
        raise SourceDataError(path, "it has no header", "Give the owner's file, with the line of column names")
    tally.rows -= 1
    header = [name.strip() for name in first[1]]
    twice = {name for name in header if name and header.count(name) > 1}
    if twice:
        raise SourceDataError(path, f"two columns are called {', '.join(sorted(twice))}", "Rename or remove one")
    missing = [name for name in needed if name not in header]
    if missing:
        cause = f"no column {', '.join(missing)}; there are {', '.join(header)[:500]}"
        raise SourceDataError(path, cause, "Give the owner's file as it is, or name its columns in the configuration")
    return header


def read_lines(path: Path, tally: Tally, left_out: Collection[str] = ("",)) -> Iterator[tuple[str, str]]:
    """Yield (place, text) of every line; lines that are not UTF-8 are counted and left out.

    Args:
        path: The file, which may be compressed.
        tally: Where lines are counted.
        left_out: Lines that are no rows.
    """
    stream = LineStream(path)
    for line in stream:
        text = line.strip()
        if text in left_out:
            continue
        tally.rows += 1
        if stream.broken:
            stream.broken = False
            tally.drop(NOT_UTF8, _place(path, stream.number))
        else:
            yield _place(path, stream.number), text
    _finish(stream, tally)


def read_json_lines(path: Path, tally: Tally) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (place, object) of every line of a JSON-lines file; lines that hold something else are counted."""
    for place, text in read_lines(path, tally):
        try:
            row = parse_object(text)
        except RefusedError:
            tally.drop(MALFORMED, place)
            continue
        yield place, row


def read_json_list(path: Path, tally: Tally, most: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (place, object) of every entry of a file that holds one JSON list; other entries are counted.

    Raises:
        SourceDataError: if the file has more than ``most`` bytes unpacked, or holds no list.
    """
    stream = LineStream(path, most)
    text = "".join(_bounded(stream, most))
    _finish(stream, tally)
    try:
        if stream.broken:
            raise RefusedError("not UTF-8")
        entries = parse_json(text)
    except RefusedError as error:
        raise SourceDataError(path, str(error), "Give the owner's file as it is") from error
    if not isinstance(entries, list):
        raise SourceDataError(path, "it holds no JSON list", "Give the owner's file as it is")
    for number, entry in enumerate(entries, 1):
        tally.rows += 1
        place = f"{path.name} entry {number}"
        if isinstance(entry, dict):
            yield place, entry
        else:
            tally.drop(MALFORMED, place)


def _bounded(stream: LineStream, most: int) -> Iterator[str]:
    size = 0
    for text in stream:
        size += len(text)
        if size > most:
            cause = f"it has more than the {most:,} characters that are read"
            raise SourceDataError(stream.path, cause, "Split it into several files")
        yield text


def _finish(stream: LineStream, tally: Tally) -> None:
    tally.files.append({"path": str(stream.path), "bytes": stream.size, "sha256": stream.sha256})


def _place(path: Path, line: int, last: int | None = None) -> str:
    return f"{path.name} line {line}" if last in {None, line} else f"{path.name} lines {line} to {last}"
