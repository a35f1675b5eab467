"""Tar archives as WebDataset reads them: the members that share a name up to its first dot are one sample."""

import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Self

from cultureclip.benchmarks.pictures import Slice
from cultureclip.errors import SourceDataError
from cultureclip.reading.pictures import SUFFIXES
from cultureclip.reading.text import check_file, normalise

LARGEST_TEXT = 1 << 24
"""Most bytes of a label, of captions, of fields, and of a tar header's extensions."""
_REMEDY = "Fetch it again"


@dataclass(frozen=True)
class Sample:
    """One sample of an archive.

    Attributes:
        key: Name of its members up to the first dot.
        place: Place for messages.
        members: Rest of the name, in lower case -> the member's bytes in the archive.
        texts: The same -> bytes of the members whose kind was asked for.
    """

    key: str
    place: str
    members: Mapping[str, Slice]
    texts: Mapping[str, bytes]


class _Member(tarfile.TarInfo):
    """A tar header whose size is plausible. The library seeks backwards for a negative size and accepts any other."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read a header as the library does, and check its size.

        Raises:
            ReadError: if the size is negative, or is too large for a member that is not a file.
        """
        member = super().frombuf(buf, encoding, errors)
        if member.size < 0 or (member.size > LARGEST_TEXT and not member.isreg()):
            raise tarfile.ReadError(f"{member.name!r} claims to have {member.size:,} bytes")
        return member


def read_samples(shard: Path, text_kinds: frozenset[str]) -> Iterator[Sample]:
    """Yield the samples of an archive; the pictures' bytes are not read.

    Args:
        shard: An uncompressed tar file.
        text_kinds: Kinds of members whose bytes are read at once.

    Raises:
        SourceDataError: if it is not a whole archive of plain files, the members of a sample are not next to each
            other, or two of them are of one kind.
    """
    seen: set[str] = set()
    try:
        size = check_file(shard)
        with tarfile.open(shard, "r:", tarinfo=_Member, encoding="utf-8", errors="backslashreplace") as archive:
            for key, members in groupby(_list_files(archive, size), lambda member: _split_name(member)[0]):
                if key in seen:
                    raise tarfile.ReadError(f"the files of {key!r} are not next to each other: sort them")
                seen.add(key)
                yield _make_sample(shard, key, archive, members, text_kinds)
            _check_end(shard, archive.offset)
    except (tarfile.TarError, OSError, ValueError, OverflowError, IndexError) as error:
        raise SourceDataError(shard, f"not a whole tar archive ({error})", _REMEDY) from error


def _make_sample(
    shard: Path,
    key: str,
    archive: tarfile.TarFile,
    members: Iterator[tarfile.TarInfo],
    text_kinds: frozenset[str],
) -> Sample:
    places: dict[str, Slice] = {}
    texts: dict[str, bytes] = {}
    for member in members:
        kind = _split_name(member)[1]
        if kind in places or (kind in SUFFIXES and not SUFFIXES.isdisjoint(places)):
            raise tarfile.ReadError(f"{member.name!r} is a second {'picture' if kind in SUFFIXES else kind} of {key!r}")
        places[kind] = Slice(shard, member.offset_data, member.size)
        if kind in text_kinds:
            if member.size > LARGEST_TEXT:
                raise tarfile.ReadError(f"{member.name!r} has {member.size:,} bytes of text")
            handle = archive.extractfile(member)
            texts[kind] = handle.read() if handle else b""
    return Sample(key, f"{key} in {shard.parent.name}/{shard.name}", places, texts)


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


def _split_name(member: tarfile.TarInfo) -> tuple[str, str]:
    """Return the key and kind of a member: the parts before and after the first dot of its file name."""
    folder, slash, name = member.name.rpartition("/")
    stem, _, kind = name.partition(".")
    return normalise(folder + slash + stem), kind.lower()
