"""A benchmark's pictures are decoded at the first load; later ones look at files' stamps and notice every change."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from cultureclip.benchmarks import decoded
from cultureclip.benchmarks.composed import Composed
from cultureclip.benchmarks.formats.arrow import ArrowFormat
from cultureclip.benchmarks.formats.parquet import ParquetFormat
from cultureclip.benchmarks.formats.webdataset import WebDatasetFormat
from cultureclip.benchmarks.held_out import check_held_out
from cultureclip.benchmarks.pictures import FileIn, LazyPictures
from cultureclip.benchmarks.pocket import DECLARATIONS
from cultureclip.benchmarks.protocols.choice import ChoiceBenchmark
from cultureclip.benchmarks.rows import Intake, Row, Source, take_in
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import LeakError, StorageError
from cultureclip.ids import bytes_digest
from cultureclip.reading import stamps
from cultureclip.reading.pictures import MISSING, NOT_A_PICTURE
from tests.support.benchmark_files import encode, make_table, stored, write_parquet, write_pictures, write_webdataset

NAMES = ("a.png", "b.png", "c.png")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the files that the intake decodes; every file counts as settled."""
    sizes: list[int] = []
    decode = decoded.decode_image
    monkeypatch.setattr(decoded, "decode_image", lambda data: (sizes.append(len(data)), decode(data))[1])
    monkeypatch.setattr(stamps, "SETTLED_NS", 0)
    return sizes


@pytest.fixture
def kept(tmp_path: Path) -> KeyedStore:
    return KeyedStore(tmp_path / "kept" / "pictures.sqlite")


def loose(folder: Path) -> Source:
    return Source([Row(name, {}, {"image": (FileIn(folder, name),)}) for name in NAMES])


def write_loose(folder: Path) -> Callable[[], Source]:
    write_pictures(folder, NAMES)
    return lambda: loose(folder)


def write_cells(folder: Path) -> Callable[[], Source]:
    write_parquet(folder, {"image": [stored(encode(n)) for n in range(3)]})
    return lambda: ParquetFormat(type="parquet").read(folder)


def write_saved(folder: Path) -> Callable[[], Source]:
    make_table({"image": [stored(encode(n)) for n in range(3)]}).save_to_disk(folder)
    return lambda: ArrowFormat(type="arrow").read(folder)


def write_named(folder: Path) -> Callable[[], Source]:
    """A table that names files beside it."""
    write_pictures(folder, NAMES)
    (folder / "data").mkdir()
    images = [stored(None, name) for name in NAMES]
    pd.DataFrame({"image": images}).to_parquet(folder / "data/test.parquet")
    return lambda: ParquetFormat(type="parquet").read(folder)


def write_archive(folder: Path) -> Callable[[], Source]:
    write_webdataset(folder, [{"png": encode(n), "cls": n} for n in range(3)], 5)
    return lambda: WebDatasetFormat(type="webdataset").read(folder)


def write_composed(folder: Path) -> Callable[[], Source]:
    write_pictures(folder, [*NAMES, "cue.png"])
    cue = FileIn(folder, "cue.png")
    return lambda: Source(
        [Row(name, {}, {"image": (Composed(cue, FileIn(folder, name)),)}) for name in NAMES],
    )


WRITERS = [write_loose, write_cells, write_saved, write_named, write_archive, write_composed]


def facts(intake: Intake) -> tuple[object, ...]:
    """Everything that an intake says, less the locations, which are other objects at every load."""
    pictures = {key: replace(found, where=None) for key, found in intake.pictures.stored.items()}
    return intake.rows, intake.left_out, pictures


@pytest.mark.parametrize("write", WRITERS)
def test_a_second_load_decodes_nothing_and_finds_the_same(
    tmp_path: Path, counted: list[int], kept: KeyedStore, write: Callable[[Path], Callable[[], Source]]
) -> None:
    read = write(tmp_path / "benchmark")
    plain = facts(take_in(read()))
    assert len(plain[2]) == 3
    counted.clear()
    assert facts(take_in(read(), kept)) == plain
    assert len(counted) == 3
    counted.clear()
    again = take_in(read(), kept)
    assert facts(again) == plain
    assert counted == []
    assert sorted(map(bytes, again.pictures.values())) == sorted(map(bytes, take_in(read()).pictures.values()))


@pytest.mark.parametrize("write", WRITERS)
def test_files_written_anew_are_decoded_again(
    tmp_path: Path, counted: list[int], kept: KeyedStore, write: Callable[[Path], Callable[[], Source]]
) -> None:
    folder = tmp_path / "benchmark"
    read = write(folder)
    take_in(read(), kept)
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)  # with the times of the files
    shutil.rmtree(folder)
    shutil.move(copy, folder)
    counted.clear()
    take_in(read(), kept)
    assert len(counted) == 3


def test_a_picture_of_equal_size_and_time_that_has_other_pixels_is_noticed(
    tmp_path: Path, counted: list[int], kept: KeyedStore
) -> None:
    rows = [Row("a", {}, {"image": (FileIn(tmp_path, "a.bmp"),)})]
    file = tmp_path / "a.bmp"
    file.write_bytes(encode(0, "BMP"))
    before = file.stat()
    first = take_in(Source(rows), kept).pictures
    file.write_bytes(encode(1, "BMP"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    second = take_in(Source(rows), kept).pictures
    assert [list(first), list(second)] == [[bytes_digest(encode(0, "BMP"))], [bytes_digest(encode(1, "BMP"))]]


def test_a_file_that_a_table_names_is_noticed_when_it_changes(
    tmp_path: Path, counted: list[int], kept: KeyedStore
) -> None:
    read = write_named(tmp_path / "benchmark")
    take_in(read(), kept)
    (tmp_path / "benchmark/b.png").write_bytes(encode(7))
    counted.clear()
    assert bytes_digest(encode(7)) in take_in(read(), kept).pictures
    assert len(counted) == 1


def test_what_cannot_be_decoded_is_tried_again_and_what_is_gone_is_missed(
    tmp_path: Path, counted: list[int], kept: KeyedStore
) -> None:
    read = write_loose(tmp_path)
    (tmp_path / "b.png").write_bytes(b"broken")
    reasons = [[item.reason for item in take_in(read(), kept).left_out] for _ in range(2)]
    assert reasons == [[NOT_A_PICTURE]] * 2
    (tmp_path / "b.png").write_bytes(encode(1))
    (tmp_path / "c.png").unlink()
    intake = take_in(read(), kept)
    assert [item.reason for item in intake.left_out] == [MISSING]
    assert len(intake.pictures) == 2


def test_a_file_that_was_just_written_is_not_kept(tmp_path: Path, kept: KeyedStore) -> None:
    read = write_loose(tmp_path)
    assert FileIn(tmp_path, "a.png").stamp() is None
    take_in(read(), kept)
    assert len(kept) == 0


def test_a_damaged_entry_is_not_believed(tmp_path: Path, counted: list[int], kept: KeyedStore) -> None:
    import sqlite3

    read = write_loose(tmp_path)
    expected = facts(take_in(read(), kept))
    with sqlite3.connect(kept.path) as connection:
        connection.execute("UPDATE answers SET value = replace(value, ', 20,', ', 21,') WHERE rowid = 1")
    with pytest.raises(StorageError, match="1 of 3 answers are damaged"):
        take_in(read(), kept)
    assert facts(take_in(read(), kept)) == expected


@pytest.fixture
def held(tmp_path: Path, counted: list[int], kept: KeyedStore) -> Callable[[], ChoiceBenchmark]:
    """A benchmark of photographs, loaded anew at each call."""
    read = write_loose(tmp_path / "photographs")
    return lambda: ChoiceBenchmark(DECLARATIONS["crope"], take_in(read(), kept).pictures)


COLUMNS = ("row_id", "pos_concept_id", "neg_concept_id", "pos_concept", "neg_concept")
ROWS = pd.DataFrame({name: ["x"] for name in COLUMNS})
ROWS = ROWS.assign(pos_image_id="i1", neg_image_id="i2")


def test_the_leak_check_takes_kept_hashes(held: Callable[[], ChoiceBenchmark], monkeypatch: pytest.MonkeyPatch) -> None:
    other = [("i1", Image.new("RGB", (20, 16), "red"))]
    assert check_held_out([held()], ROWS, other, near_distance=4)["held_out_images"] == 3

    def refuse(self: LazyPictures, key: str) -> None:
        raise AssertionError(f"{key} is decoded once more")

    copied = [("i1", Image.fromarray(next(iter(held().images.values()))))]
    monkeypatch.setattr(LazyPictures, "__getitem__", refuse)
    assert check_held_out([held()], ROWS, other, near_distance=4)["leaks"] == 0
    for distance in (None, 4):
        with pytest.raises(LeakError, match="image i1 is held out by crope"):
            check_held_out([held()], ROWS, copied, near_distance=distance)


def test_kept_near_hashes_are_those_of_the_pictures(held: Callable[[], ChoiceBenchmark]) -> None:
    """A copy that differs by little is found with kept hashes at the distance at which it is found without."""
    pixels = next(iter(held().images.values()))
    near = [("i1", Image.fromarray(pixels).rotate(20))]

    def least(benchmark: ChoiceBenchmark) -> int:
        for distance in range(65):
            try:
                check_held_out([benchmark], ROWS, near, near_distance=distance)
            except LeakError:
                return distance
        raise AssertionError("never")

    fresh = replace(held(), images=dict(held().images))
    assert least(held()) == least(held()) == least(fresh) > 0
