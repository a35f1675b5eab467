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
        return Source((row for shard in shards for row in _read_shard(shard)), classes, templates)


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


class _Member(tarfile.TarInfo):
    """A tar header whose size is plausible. The library seeks backwards for a negative size and accepts any other."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read a header as the library does, and check its size.

        Raises:
            ReadError: if the size is negative, or is too large for a member that is not a file.
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
        raise SourceDataError(shard, f"not a whole tar archive ({error})", _REMEDY) from error


def _list_files(archive: tarfile.TarFile, size: int) -> Iterator[tarfile.TarInfo]:
    """Yield the archive's files.

    Args:
        archive: The archive, just opened.
        size: Size of the archive in bytes.

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
    """Make sure that the members end at the archive's end mark: the library treats any damaged header as the end.

    Raises:
        ReadError: if the members end elsewhere.
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
    """Return the key and kind of a member: the parts before and after the first dot of its file name."""
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
