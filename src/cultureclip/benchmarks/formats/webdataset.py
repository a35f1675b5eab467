"""WebDataset archives as CLIP_benchmark writes them: numbered tar files, class names and templates beside them."""

import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field

from cultureclip.benchmarks.pictures import Encoded, Slice
from cultureclip.benchmarks.rows import Format, Row, Source
from cultureclip.errors import SourceDataError
from cultureclip.reading.json_text import parse_object
from cultureclip.reading.names import stored_form
from cultureclip.reading.pictures import SUFFIXES
from cultureclip.reading.text import RefusedError, check_file, decode, normalise, read_lines, split_lines

_LONGEST_NUMBER = 18
_LARGEST_TEXT = 1 << 24
"""Most bytes of a label, of captions, of fields, and of a tar header's extensions."""
_REMEDY = "Fetch it again"


class WebDatasetFormat(Format):
    """``<split>/0.tar ...`` and ``<split>/nshards.txt``; for classification the names and templates in text files.

    A sample's image is the column ``image``, its label (``.cls``) the column ``label``, its captions (``.txt``, one a
    line) the column ``captions``; the fields of its ``.json`` are columns of their own names.
    """

    type: Literal["webdataset"]
    split: str = Field(default="test", min_length=1)

    def pattern(self) -> str:
        """Return the split's archives."""
        return f"{self.split}/*.tar"

    def read(self, path: Path) -> Source:
        """Return samples of all archives in the order of their numbers.

        Raises:
            SourceDataError: an archive is damaged, or ``nshards.txt`` says that there are more.
        """
        shards = _list_shards(self.find(path), stored_form(path / self.split / "nshards.txt"))
        classes = _read_lines(path / "classnames.txt")
        templates = _read_lines(path / "zeroshot_classification_templates.txt")
        return Source((row for shard in shards for row in _read_shard(shard)), classes, templates)


def _list_shards(files: Sequence[Path], counter: Path) -> list[Path]:
    found = sorted(files, key=lambda file: (len(file.name), file.name))
    if not os.path.lexists(counter):  # a link to nothing is not "no count"
        return found
    count = "".join(_read_lines(counter))
    if not count.isdecimal() or len(count) > _LONGEST_NUMBER:
        raise SourceDataError(counter, f"no number of archives: {count[:20]!r}", _REMEDY)
    numbers, there = range(int(count)), {file.name for file in found}
    if absent := list(islice((f"{number}.tar" for number in numbers if f"{number}.tar" not in there), 5)):
        raise SourceDataError(counter, f"it counts {count} archives, {', '.join(absent)} not there", _REMEDY)
    expected = {f"{number}.tar" for number in numbers}  # no more than there are files
    return [file for file in found if file.name in expected]


class _Member(tarfile.TarInfo):
    """A tar header whose size can be true. The library steps back for a negative one and reads any other."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """As the library does.

        Raises:
            ReadError: if the size is negative, or too large for what is not a file.
        """
        member = super().frombuf(buf, encoding, errors)
        if member.size < 0 or (member.size > _LARGEST_TEXT and not member.isreg()):
            raise tarfile.ReadError(f"{member.name!r} claims to have {member.size:,} bytes")
        return member


def _read_shard(shard: Path) -> Iterator[Row]:
    """Yield a row for each run of members that share a name up to its first dot."""
    seen: set[str] = set()
    try:
        size = check_file(shard)
        with tarfile.open(shard, "r:", tarinfo=_Member, encoding="utf-8", errors="backslashreplace") as archive:
            for key, members in groupby(_list_files(archive, size), lambda member: _split_name(member)[0]):
                if key in seen:
                    raise tarfile.ReadError(f"the files of {key!r} are not next to each other: sort them")
                seen.add(key)
                yield _make_row(shard, key, archive, members)
            _check_end(shard, archive.offset)
    except (tarfile.TarError, OSError, ValueError, OverflowError, IndexError) as error:
        raise SourceDataError(shard, f"no whole tar archive ({error})", _REMEDY) from error


def _list_files(archive: tarfile.TarFile, size: int) -> Iterator[tarfile.TarInfo]:
    """Yield the archive's files.

    Args:
        archive: Just opened.
        size: Of the archive, in bytes.

    Raises:
        ReadError: if a member is not a plain file within the archive.
    """
    for member in archive:
        if member.isdir():
            continue
        if not member.isreg() or member.issparse():
            raise tarfile.ReadError(f"{member.name!r} is a link, a device or sparse: pack the files themselves")
        if not 0 <= member.size <= size - member.offset_data:
            raise tarfile.ReadError(f"{member.name!r} claims to have {member.size:,} bytes; the archive ends before")
        yield member


def _check_end(shard: Path, offset: int) -> None:
    """Make sure that the members end at the archive's end mark: the library takes any damaged header for the end.

    Raises:
        ReadError: if they do not.
    """
    with shard.open("rb") as handle:
        handle.seek(offset)
        if handle.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"damaged or cut off after {offset:,} bytes")


def _make_row(shard: Path, key: str, archive: tarfile.TarFile, members: Iterable[tarfile.TarInfo]) -> Row:
    values: dict[str, Any] = {}
    pictures: dict[str, tuple[Encoded, ...]] = {}
    kinds: set[str] = set()
    for member in members:
        kind = _split_name(member)[1]
        if kind in kinds or (kind in SUFFIXES and pictures):
            raise tarfile.ReadError(f"{member.name!r} is a second {'picture' if kind in SUFFIXES else kind} of {key!r}")
        kinds.add(kind)
        if kind in SUFFIXES:
            pictures["image"] = (Slice(shard, member.offset_data, member.size),)
        elif kind in _PARSERS and member.size > _LARGEST_TEXT:
            raise tarfile.ReadError(f"{member.name!r} has {member.size:,} bytes of text")
        elif kind in _PARSERS:
            handle = archive.extractfile(member)
            values |= _PARSERS[kind](handle.read() if handle else b"")
    return Row(f"{key} in {shard.parent.name}/{shard.name}", values, pictures)


def _split_name(member: tarfile.TarInfo) -> tuple[str, str]:
    """Key and kind of a member: what is before and after the first dot of its file's name."""
    folder, slash, name = member.name.rpartition("/")
    stem, _, kind = name.partition(".")
    return normalise(folder + slash + stem), kind.lower()


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
        return {}  # the columns are missing, which the row's reason will say


_PARSERS: dict[str, Callable[[bytes], dict[str, Any]]] = {
    "cls": _parse_label,
    "txt": _parse_captions,
    "json": _parse_json,
}


def _decode(data: bytes) -> str | None:
    """Text, or None where it is not UTF-8."""
    try:
        return decode(data)
    except RefusedError:
        return None


def _read_lines(path: Path) -> tuple[str, ...]:
    """Return lines of a text file, stripped; none where there is no such file."""
    try:
        return tuple(map(str.strip, read_lines(path)))
    except FileNotFoundError:
        return ()
    except (OSError, RefusedError) as error:
        raise SourceDataError(path, f"cannot be read ({error})", _REMEDY) from error
