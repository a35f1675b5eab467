"""WebDataset archives as CLIP_benchmark writes them: numbered tar files, class names and templates beside them."""

import os
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from cultureclip.benchmarks.formats.tar_samples import Sample, read_samples
from cultureclip.benchmarks.pictures import Located
from cultureclip.benchmarks.rows import Format, Row, Source
from cultureclip.errors import SourceDataError
from cultureclip.reading.json_text import parse_object
from cultureclip.reading.names import stored_form
from cultureclip.reading.pictures import SUFFIXES
from cultureclip.reading.text import RefusedError, decode, read_lines, split_lines

_LONGEST_NUMBER = 18
_REMEDY = "Fetch it again"


class WebDatasetFormat(Format):
    """``<split>/0.tar ...`` and ``<split>/nshards.txt``; for classification, class names and templates in text files.

    A sample's image is the column ``image``, its label (``.cls``) the column ``label``, its captions (``.txt``, one per
    line) the column ``captions``; the fields of its ``.json`` are columns under their own names.
    """

    type: Literal["webdataset"]
    split: str = Field(default="test", min_length=1)

    def pattern(self) -> str:
        """Return the glob of the split's archives."""
        return f"{self.split}/*.tar"

    def read(self, path: Path) -> Source:
        """Return the samples of all archives in the order of the archives' numbers.

        Raises:
            SourceDataError: if an archive is damaged, or ``nshards.txt`` counts more archives.
        """
        shards = _list_shards(self.find(path), stored_form(path / self.split / "nshards.txt"))
        classes = _read_lines(path / "classnames.txt")
        templates = _read_lines(path / "zeroshot_classification_templates.txt")
        kinds = frozenset(_PARSERS)
        rows = (_make_row(sample) for shard in shards for sample in read_samples(shard, kinds))
        return Source(rows, classes, templates)


def _list_shards(files: Sequence[Path], counter: Path) -> list[Path]:
    found = sorted(files, key=lambda file: (len(file.name), file.name))
    if not os.path.lexists(counter):  # a dangling link is an error, not a missing count
        return found
    count = "".join(_read_lines(counter))
    if not count.isdecimal() or len(count) > _LONGEST_NUMBER:
        raise SourceDataError(counter, f"not a number of archives: {count[:20]!r}", _REMEDY)
    numbers, there = range(int(count)), {file.name for file in found}
    if absent := list(islice((f"{number}.tar" for number in numbers if f"{number}.tar" not in there), 5)):
        raise SourceDataError(counter, f"it counts {count} archives, {', '.join(absent)} not there", _REMEDY)
    expected = {f"{number}.tar" for number in numbers}  # no more than there are files
    return [file for file in found if file.name in expected]


def _make_row(sample: Sample) -> Row:
    values: dict[str, Any] = {}
    for kind, data in sample.texts.items():
        values |= _PARSERS[kind](data)
    picture = next((where for kind, where in sample.members.items() if kind in SUFFIXES), None)
    pictures: dict[str, tuple[Located, ...]] = {} if picture is None else {"image": (picture,)}
    return Row(sample.place, values, pictures)


def _parse_label(data: bytes) -> dict[str, Any]:
    text = data.strip()
    return {"label": int(text) if text.isdigit() and len(text) <= _LONGEST_NUMBER else _decode(text)}


def _parse_captions(data: bytes) -> dict[str, Any]:
    text = _decode(data)
    return {"captions": None if text is None else split_lines(text)}


def _parse_json(data: bytes) -> dict[str, Any]:
    try:
        return parse_object(data)
    except RefusedError:
        return {}  # the columns are missing, and the reason of the row says so


_PARSERS: dict[str, Callable[[bytes], dict[str, Any]]] = {
    "cls": _parse_label,
    "txt": _parse_captions,
    "json": _parse_json,
}


def _decode(data: bytes) -> str | None:
    """Return the text, or None if the bytes are not UTF-8."""
    try:
        return decode(data)
    except RefusedError:
        return None


def _read_lines(path: Path) -> tuple[str, ...]:
    """Return the lines of a text file, stripped; empty if the file is missing."""
    try:
        return tuple(map(str.strip, read_lines(path)))
    except FileNotFoundError:
        return ()
    except (OSError, RefusedError) as error:
        raise SourceDataError(path, f"cannot be read ({error})", _REMEDY) from error
