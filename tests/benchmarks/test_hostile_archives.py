"""Archives and links from outside: sizes are not believed, nothing is dropped silently, links are followed."""

import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cultureclip.benchmarks.formats.csv_table import CsvFormat
from cultureclip.benchmarks.formats.json_files import KarpathyFormat
from cultureclip.benchmarks.formats.parquet import ParquetFormat
from cultureclip.benchmarks.formats.webdataset import WebDatasetFormat
from cultureclip.benchmarks.pictures import OUTSIDE, FileIn, Slice
from cultureclip.benchmarks.protocols.image_text_retrieval import PROTOCOL as CAPTIONS
from cultureclip.benchmarks.rows import Intake, Row, Source, take_in
from cultureclip.errors import SourceDataError
from cultureclip.reading.pictures import FORMATS, MAX_BYTES, TOO_MANY_BYTES, ImageError, unread_format
from tests.support.benchmark_files import encode, stored, write_parquet, write_pictures

NAMES = {form: form.lower() for form in FORMATS} | {"JPEG2000": "jp2", "JPEG": "JPG", "TIFF": "tif"}


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def read(folder: Path) -> Intake:
    return take_in(WebDatasetFormat(type="webdataset").read(folder))


def claim(path: Path, size: int, member: int = 0, kind: bytes | None = None) -> None:
    """Write another size into a member's header, in base 256, with a checksum that is right."""
    with tarfile.open(path) as archive:
        at = archive.getmembers()[member].offset
    content = bytearray(path.read_bytes())
    header = content[at : at + 512]
    header[124:136] = (b"\x80" if size >= 0 else b"\xff") + (size % 256**11).to_bytes(11, "big")
    header[156:157] = kind or header[156:157]
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    content[at : at + 512] = header
    path.write_bytes(content)


def test_every_format_that_is_decoded_is_taken_from_an_archive(tmp_path: Path) -> None:
    samples = {}
    for number, (form, suffix) in enumerate(NAMES.items()):
        samples |= {f"s{number}.{suffix}": encode(number, form), f"s{number}.cls": b"%d" % number}
    write_tar(tmp_path / "test/0.tar", samples | {"t.svg": b"<svg/>", "t.png": b"<svg/>"})
    intake = read(tmp_path)
    assert [row.image("image") is not None for row in intake.rows] == [True] * len(NAMES) + [False]
    assert [item.reason for item in intake.left_out] == [unread_format("SVG")]


@pytest.mark.parametrize("size", [-256, -1, 2**63, 2**70, 30_000_000_000])
@pytest.mark.parametrize("member", [0, 1])
@pytest.mark.parametrize("kind", [b"0", b"x", b"L", b"g", b"7", b"5"])
def test_a_size_that_cannot_be_true_names_the_archive(tmp_path: Path, size: int, member: int, kind: bytes) -> None:
    path = write_tar(tmp_path / "test/0.tar", {"a.png": encode(0), "b.png": encode(1)})
    claim(path, size, member, kind)
    with pytest.raises(SourceDataError, match=r"0\.tar: not a whole tar archive"):
        read(tmp_path)


@pytest.mark.parametrize("size", ["-1", "-512", "999999999999"])
def test_a_size_in_an_extended_header_is_not_believed_either(tmp_path: Path, size: str) -> None:
    """Of a picture of -1 bytes the rest of the archive would be read."""
    (tmp_path / "test").mkdir()
    entry = tarfile.TarInfo("a.png")
    entry.size, entry.pax_headers = len(encode(0)), {"size": size}
    with tarfile.open(tmp_path / "test/0.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(entry, io.BytesIO(encode(0)))
    with pytest.raises(SourceDataError, match=r"0\.tar: not a whole tar archive"):
        read(tmp_path)


@pytest.mark.parametrize("kept", [1, 511, 512, 1023, 1024, 2048, 2560, 4000])
def test_an_archive_that_is_cut_off_is_named_wherever_it_ends(tmp_path: Path, kept: int) -> None:
    path = write_tar(tmp_path / "test/0.tar", {"a.png": encode(0), "b.png": encode(1)})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(SourceDataError, match=r"0\.tar: not a whole tar archive"):
        read(tmp_path)


def test_a_damaged_header_in_the_middle_is_not_the_end(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "test/0.tar", {f"{name}.png": encode(n) for n, name in enumerate("abc")})
    with tarfile.open(path) as archive:
        at = archive.getmembers()[1].offset
    content = bytearray(path.read_bytes())
    content[at + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(SourceDataError, match=rf"damaged or cut off after {at:,} bytes"):
        read(tmp_path)


def test_a_sample_that_lies_in_two_places_is_not_taken_for_two(tmp_path: Path) -> None:
    """Other readers give two samples, each without half of its fields (ray-project/ray #44068)."""
    write_tar(tmp_path / "test/0.tar", {"a.png": encode(0), "b.png": encode(1), "a.cls": b"0", "b.cls": b"1"})
    with pytest.raises(SourceDataError, match=r"0\.tar: .*files of 'a' are not next to each other"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("second", "message"),
    [("a.png", "'a.png' is a second picture of 'a'"), ("a.jpg", "second picture"), ("a.cls", "second cls of 'a'")],
)
def test_a_sample_with_two_files_of_one_kind_is_refused(tmp_path: Path, second: str, message: str) -> None:
    """Taking the last of them would be silent; others stop without the archive's name (ray-project/ray #48643)."""
    path = write_tar(tmp_path / "test/0.tar", {"a.png": encode(0), "a.cls": b"0"})
    with tarfile.open(path, "a") as archive:
        content = b"1" if second.endswith("cls") else encode(1)
        member = tarfile.TarInfo(second)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    with pytest.raises(SourceDataError, match=rf"0\.tar: .*{message}"):
        read(tmp_path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_a_member_that_is_not_a_file_is_named(tmp_path: Path, kind: bytes) -> None:
    path = write_tar(tmp_path / "test/0.tar", {"a.png": encode(0)})
    with tarfile.open(path, "a") as archive:
        entry = tarfile.TarInfo("b.png")
        entry.type, entry.linkname = kind, "a.png"
        archive.addfile(entry)
    with pytest.raises(SourceDataError, match=r"'b\.png' is a link, a device or sparse"):
        read(tmp_path)


def test_text_of_a_gigabyte_in_a_sparse_archive_is_not_read(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "test/0.tar", {"a.txt": b"x"})
    claim(path, 1 << 30)
    with path.open("r+b") as handle:
        handle.truncate((1 << 30) + 4096)
    with pytest.raises(SourceDataError, match="of text"):
        read(tmp_path)


def test_a_picture_of_thirty_gigabytes_in_a_sparse_archive_is_left_out(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "test/0.tar", {"a.png": encode(0)})
    claim(path, 30_000_000_000)
    with path.open("r+b") as handle:
        handle.truncate(30_000_000_000 + 4096)
    assert [item.reason for item in read(tmp_path).left_out] == [TOO_MANY_BYTES]
    with pytest.raises(ImageError, match="larger than"):
        Slice(path, 512, MAX_BYTES + 1).read()


@pytest.mark.parametrize(
    ("count", "message"),
    [
        ("999999999", r"it counts 999999999 archives, 1\.tar, 2\.tar, 3\.tar, 4\.tar, 5\.tar not there"),
        ("9" * 18, "not there"),
        ("9" * 5000, "not a number of archives"),
        ("-1", "not a number of archives"),
        ("", "not a number of archives"),
    ],
)
def test_a_count_of_archives_is_not_believed(tmp_path: Path, count: str, message: str) -> None:
    write_tar(tmp_path / "test/0.tar", {"a.png": encode(0)})
    (tmp_path / "test/nshards.txt").write_text(count)
    with pytest.raises(SourceDataError, match=message):
        read(tmp_path)


def test_archives_beyond_the_count_are_not_read(tmp_path: Path) -> None:
    for number in range(12):
        write_tar(tmp_path / f"test/{number}.tar", {f"{number}.png": encode(number)})
    (tmp_path / "test/nshards.txt").write_text("11\n")
    assert [row.place for row in read(tmp_path).rows] == [f"{n} in test/{n}.tar" for n in range(11)]


@pytest.mark.parametrize("name", ["test/0.tar", "test/nshards.txt", "classnames.txt"])
def test_a_pipe_in_place_of_a_file_is_named_and_not_waited_for(tmp_path: Path, name: str) -> None:
    write_tar(tmp_path / "test/0.tar", {"a.png": encode(0)})
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(SourceDataError, match="a named pipe, not a regular file"):
        read(tmp_path)


def test_a_pipe_in_place_of_annotations_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "dataset_coco.json")
    with pytest.raises(SourceDataError, match="a named pipe, not a regular file"):
        KarpathyFormat(type="karpathy", annotations="dataset_coco.json").read(tmp_path)


def test_names_of_any_bytes_become_text_that_can_be_written(tmp_path: Path) -> None:
    write_tar(tmp_path / "test/0.tar", {"a\udcff.png": encode(0)})
    (row,) = read(tmp_path).rows
    assert json.dumps(row.place).encode("utf-8") == rb'"a\\xff in test/0.tar"'


def test_links_of_a_cache_are_followed_and_names_that_lead_out_are_not(tmp_path: Path) -> None:
    """The Hub's cache keeps ``snapshots/<commit>/<name>`` as links into ``blobs``; DVC links into its cache."""
    write_pictures(tmp_path / "blobs", ["0.png", "1.png"])
    snapshot = tmp_path / "snapshots/abc"
    (snapshot / "photos").mkdir(parents=True)
    (snapshot / "photos/a.png").symlink_to("../../../blobs/0.png")
    (snapshot / "whole").symlink_to(tmp_path / "blobs")
    (snapshot / "gone.png").symlink_to("../../blobs/2.png")
    names = ["photos/a.png", "whole/1.png", "gone.png", "../../blobs/0.png", str(tmp_path / "blobs/0.png")]
    names.append("whole/../../../blobs/0.png")
    (snapshot / "own.csv").write_text("image,captions\n" + "".join(f"{name},x\n" for name in names))
    intake = take_in(CsvFormat(type="csv").read_as(snapshot / "own.csv", {}, CAPTIONS))
    assert [row.image("image") is not None for row in intake.rows] == [True, True, False, False, False, False]
    reasons = ["picture is a symbolic link whose target is missing", OUTSIDE, OUTSIDE, OUTSIDE]
    assert [item.reason for item in intake.left_out] == reasons


def test_archives_and_tables_that_are_links_are_read(tmp_path: Path) -> None:
    write_tar(tmp_path / "blobs/x", {"a.png": encode(0)})
    (tmp_path / "w/test").mkdir(parents=True)
    (tmp_path / "w/test/0.tar").symlink_to("../../blobs/x")
    assert len(read(tmp_path / "w").pictures) == 1
    real = write_parquet(tmp_path / "real", {"image": [stored(encode(1))]}) / "data/test-00000-of-00001-0f.parquet"
    (tmp_path / "p/data").mkdir(parents=True)
    (tmp_path / "p/data/test.parquet").symlink_to(real)
    assert len(take_in(ParquetFormat(type="parquet").read(tmp_path / "p")).pictures) == 1


def test_pictures_of_deep_grey_reach_a_benchmark_as_what_they_are(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    Image.fromarray(np.zeros((8, 8), np.float32)).save(tmp_path / "float.tif")
    os.mkfifo(tmp_path / "pipe")
    rows = [Row(name, {}, {"image": (FileIn(tmp_path, name),)}) for name in ("deep.png", "float.tif", "pipe")]
    intake = take_in(Source(rows))
    (pixels,) = intake.pictures.values()
    np.testing.assert_array_equal(pixels[..., 0], deep >> 8)
    assert [item.reason for item in intake.left_out] == [
        "picture has pixels of mode F, which are not read",
        "picture is a named pipe, not a regular file",
    ]
