"""Lines of files of any size: compressed or not, the same lines; damage and endless lines are typed errors."""

import bz2
import gzip
import hashlib
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from cultureclip.errors import SourceDataError
from cultureclip.reading.stream import LineStream

TEXT = "\ufeffname\tculture\nkimono\tJP\r\nساری\tIN\n\nlast"
LINES = ["name\tculture\n", "kimono\tJP\r\n", "ساری\tIN\n", "\n", "last"]


@pytest.mark.parametrize(
    "pack", [bytes, gzip.compress, bz2.compress, lambda b: gzip.compress(b[:9]) + gzip.compress(b[9:])]
)
def test_lines_and_digest_are_those_of_the_file_whatever_its_packing_and_name(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    content = pack(TEXT.encode())
    (tmp_path / "file.csv").write_bytes(content)
    stream = LineStream(tmp_path / "file.csv")
    assert list(stream) == LINES
    assert (stream.number, stream.size, stream.broken) == (5, len(content), False)
    assert stream.sha256 == hashlib.sha256(content).hexdigest()


def test_a_line_that_is_not_utf_8_is_told(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes("good\ncafé\ngood\n".encode("latin-1"))
    stream, broken = LineStream(tmp_path / "x"), []
    for _ in stream:
        broken.append(stream.broken)
        stream.broken = False
    assert broken == [False, True, False]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
def test_an_endless_line_is_refused_without_reading_it(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / "x").write_bytes(pack(b"short\n" + b"a" * 50_000_000))
    stream = LineStream(tmp_path / "x", most=1000)
    tracemalloc.start()
    with pytest.raises(SourceDataError, match=r"line 2 is longer than the 1,000 bytes"):
        list(stream)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12_000_000


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
@pytest.mark.parametrize("damage", [lambda b: b[:-20], lambda b: b[: len(b) // 2] + b"\0" * 30 + b[len(b) // 2 + 30 :]])
def test_a_cut_or_damaged_archive_is_a_typed_error(
    tmp_path: Path, pack: Callable[[bytes], bytes], damage: Callable[[bytes], bytes]
) -> None:
    text = b"".join(b"%d %s\n" % (i, hashlib.sha256(b"%d" % i).hexdigest().encode()) for i in range(5000))
    (tmp_path / "x").write_bytes(damage(pack(text)))
    with pytest.raises(SourceDataError, match="cannot be read beyond line"):
        list(LineStream(tmp_path / "x"))


def test_what_is_no_file_or_is_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(SourceDataError, match="it is empty"):
        LineStream(tmp_path / "empty")
    with pytest.raises(SourceDataError, match="a folder"):
        LineStream(tmp_path)
    with pytest.raises(SourceDataError, match="No such file"):
        LineStream(tmp_path / "none")
