"""Tables of the Hugging Face libraries: read as they lie now, front to back, and refused by name where they lie."""

import json
import os
import pickle
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cultureclip.benchmarks.formats import parquet_cells
from cultureclip.benchmarks.formats.arrow import ArrowFormat
from cultureclip.benchmarks.formats.parquet import ParquetFormat
from cultureclip.benchmarks.formats.parquet_cells import PictureStreams
from cultureclip.benchmarks.pictures import MISSING
from cultureclip.benchmarks.rows import Intake, take_in
from cultureclip.errors import SourceDataError
from cultureclip.ids import bytes_digest
from cultureclip.reading.pictures import ImageError
from tests.support.benchmark_files import encode, make_table, stored, write_parquet, write_pictures

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
PARQUET = ParquetFormat(type="parquet")


def write(file: Path, images: list[Any], **columns: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": pa.array(images, IMAGE), **columns}), file)


def read(folder: Path) -> Intake:
    return take_in(PARQUET.read(folder))


def keys(*numbers: int) -> list[str]:
    return [bytes_digest(encode(number)) for number in numbers]


def test_a_file_that_was_replaced_unseen_is_read_as_it_is_now(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    write(file, [stored(encode(0))], region=["one"])
    assert [row.values["region"] for row in read(tmp_path).rows] == ["one"]
    before = file.stat()
    write(file, [stored(encode(1))], region=["two"])
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    intake = read(tmp_path)
    assert [row.values["region"] for row in intake.rows] == ["two"]
    assert list(intake.pictures) == keys(1)


def test_reading_needs_no_cache_and_not_the_library_that_keeps_one(tmp_path: Path) -> None:
    write_parquet(tmp_path / "p", {"image": [stored(encode(0))]})
    make_table({"image": [stored(encode(0))]}).save_to_disk(tmp_path / "a")
    code = f"""
import sys
from pathlib import Path
from cultureclip.benchmarks.formats.arrow import ArrowFormat
from cultureclip.benchmarks.formats.parquet import ParquetFormat
from cultureclip.benchmarks.rows import take_in
print(len(take_in(ParquetFormat(type="parquet").read(Path({str(tmp_path / "p")!r}))).pictures))
print(len(take_in(ArrowFormat(type="arrow").read(Path({str(tmp_path / "a")!r}))).pictures))
print("datasets" in sys.modules)
"""
    environment = os.environ | {"HF_HOME": "/proc/nowhere", "HF_DATASETS_CACHE": "/proc/nowhere"}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    assert done.stdout.split() == ["1", "1", "False"]


def test_a_shard_without_values_or_without_rows_goes_with_the_others(tmp_path: Path) -> None:
    write(
        tmp_path / "0.parquet", [stored(encode(0))], region=pa.nulls(1), captions=pa.array([None], pa.list_(pa.null()))
    )
    write(tmp_path / "1.parquet", [], region=pa.array([], pa.int64()))
    write(tmp_path / "2.parquet", [stored(encode(1))], region=["two"], captions=[["a", "b"]])
    intake = read(tmp_path)
    assert [dict(row.values) for row in intake.rows] == [
        {"region": None, "captions": None},
        {"region": "two", "captions": ["a", "b"]},
    ]
    assert list(intake.pictures) == keys(0, 1)


@pytest.mark.parametrize(
    ("columns", "cause"),
    [
        ({"label": ["x"]}, r"1\.parquet: column 'label' is string, but int64 in 0\.parquet"),
        ({"label": [[1]]}, r"1\.parquet: column 'label' is list<.*>, but int64 in 0\.parquet"),
        ({}, r"1\.parquet: it lacks column 'label'"),
        ({"label": [1], "more": [1]}, r"1\.parquet: column 'more' is not in 0\.parquet"),
    ],
)
def test_shards_that_do_not_go_together_are_named_with_the_column(
    tmp_path: Path, columns: dict[str, Any], cause: str
) -> None:
    write(tmp_path / "0.parquet", [stored(encode(0))], label=[1])
    write(tmp_path / "1.parquet", [stored(encode(0))], **columns)
    with pytest.raises(SourceDataError, match=cause):
        PARQUET.read(tmp_path)


def test_numbers_of_two_widths_go_together(tmp_path: Path) -> None:
    write(tmp_path / "0.parquet", [stored(encode(0))], label=pa.array([1], pa.int8()))
    write(tmp_path / "1.parquet", [stored(encode(1))], label=pa.array([2**40], pa.int64()))
    assert [row.values["label"] for row in read(tmp_path).rows] == [1, 2**40]


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["caf\u00e9", "cafe\u0301"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(SourceDataError, match=r"a\.parquet: two columns are called 'café'"):
        PARQUET.read(tmp_path)


def test_text_that_is_not_utf8_is_refused_with_the_file(tmp_path: Path) -> None:
    text = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")])
    write(tmp_path / "a.parquet", [stored(encode(0))], region=text)
    with pytest.raises(SourceDataError, match=r"a\.parquet: cannot be read as parquet"):
        read(tmp_path)


def test_columns_that_the_library_declares_as_images_are_read_as_it_reads_them(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["0.png"])
    features = {name: {"_type": "Image"} for name in ("raw", "named", "half")} | {"label": {"_type": "ClassLabel"}}
    note = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    half = pa.array([{"bytes": encode(2)}], pa.struct([("bytes", pa.binary())]))
    table = pa.table({"raw": [encode(1)], "named": ["0.png"], "half": half, "label": [3], "plain": ["0.png"]})
    pq.write_table(table.replace_schema_metadata(note), tmp_path / "a.parquet")
    (row,) = read(tmp_path).rows
    assert row.images == {"raw": (keys(1)[0],), "named": (keys(0)[0],), "half": (keys(2)[0],)}
    assert row.values == {"label": 3, "plain": "0.png"}


@pytest.mark.parametrize("note", [b"{", b"[" * 100_000, b"null", b'{"info": {"features": [1]}}'])
def test_a_damaged_note_of_the_library_is_not_needed(tmp_path: Path, note: bytes) -> None:
    table = pa.table({"image": pa.array([stored(encode(0))], IMAGE)}).replace_schema_metadata({b"huggingface": note})
    pq.write_table(table, tmp_path / "a.parquet")
    assert list(read(tmp_path).pictures) == keys(0)


def test_pictures_are_found_in_any_order_with_little_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_cells, "_KEPT_BYTES", 3_000)
    monkeypatch.setattr(parquet_cells, "_OPEN_STREAMS", 1)
    images = [[stored(encode(2 * row)), stored(encode(2 * row + 1))] for row in range(50)]
    table = pa.table({"images": pa.array(images, pa.list_(IMAGE)), "image": pa.array([i[0] for i in images], IMAGE)})
    pq.write_table(table, tmp_path / "0.parquet", row_group_size=20)
    pq.write_table(table.slice(0, 7), tmp_path / "1.parquet", row_group_size=3)
    rows = list(PARQUET.read(tmp_path).rows)
    expected = [*images, *images[:7]]
    places = [(row, column) for row in range(len(rows)) for column in ("images", "image")]
    random.Random(0).shuffle(places)
    for row, column in places:
        found = [picture.read() for picture in rows[row].pictures[column]]
        assert found == [image["bytes"] for image in expected[row]][: len(found)]
        assert len(found) == (2 if column == "images" else 1)


def test_reading_in_order_decodes_each_batch_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.parquet", [stored(encode(row)) for row in range(100)])
    read_column, decoded = parquet_cells._read_column, []

    def count(place: Any) -> Any:
        for batch in read_column(place):
            decoded.append(batch.num_rows)
            yield batch

    monkeypatch.setattr(parquet_cells, "_read_column", count)
    assert list(read(tmp_path).pictures) == keys(*range(100))  # by several threads
    assert sum(decoded) == 100
    monkeypatch.setattr(parquet_cells, "_KEPT_BYTES", 20_000)
    for row in PARQUET.read(tmp_path).rows:
        row.pictures["image"][0].read()
    assert sum(decoded) == 200


def test_a_file_that_changes_or_goes_while_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    write(file, [stored(encode(row)) for row in range(3)])
    rows = list(PARQUET.read(tmp_path).rows)
    write(file, [stored(encode(5))])
    with pytest.raises(SourceDataError, match=r"a\.parquet: row group 0, column 'image': it has fewer rows"):
        rows[2].pictures["image"][0].read()
    file.unlink()
    with pytest.raises(ImageError, match=MISSING):
        rows[2].pictures["image"][0].read()


def test_streams_cross_to_another_process_empty(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [stored(encode(0))])
    (row,) = PARQUET.read(tmp_path).rows
    (cell,) = row.pictures["image"]
    assert cell.read() == pickle.loads(pickle.dumps(cell)).read() == encode(0)
    assert len(pickle.dumps(cell)) < 2_000
    assert isinstance(pickle.loads(pickle.dumps(PictureStreams())), PictureStreams)


def saved(folder: Path) -> Path:
    make_table({"image": [stored(encode(0))]}).save_to_disk(folder)
    return folder


@pytest.mark.parametrize("name", ["dataset_info.json", "state.json"])
@pytest.mark.parametrize("content", ["null", "[]", "", "[" * 100_000, '"x"'])
def test_descriptions_of_a_saved_dataset_that_are_none_are_refused(tmp_path: Path, name: str, content: str) -> None:
    (saved(tmp_path) / name).write_text(content)
    with pytest.raises(SourceDataError, match=rf"{name}: not of a saved dataset \(not (a )?JSON"):
        ArrowFormat(type="arrow").read(tmp_path)


@pytest.mark.parametrize(
    ("files", "cause"),
    [
        ([{"filename": "../../secret.arrow"}], "names a file outside the folder"),
        ([{"filename": "/secret.arrow"}], "names a file outside the folder"),
        ([{"file": "x"}], "lists no data files"),
        ([5], "lists no data files"),
        (None, "lists no data files"),
    ],
)
def test_a_state_that_names_no_files_of_the_folder_is_refused(tmp_path: Path, files: Any, cause: str) -> None:
    state = saved(tmp_path / "a/b") / "state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"_data_files": files}))
    (tmp_path / "secret.arrow").write_bytes(next((tmp_path / "a/b").glob("*.arrow")).read_bytes())
    with pytest.raises(SourceDataError, match=rf"state\.json: .*{cause}"):
        ArrowFormat(type="arrow").read(tmp_path / "a/b")


def test_a_saved_selection_and_a_cut_file_are_refused(tmp_path: Path) -> None:
    state = saved(tmp_path) / "state.json"
    described = json.loads(state.read_text())
    state.write_text(json.dumps(described | {"_indices_data_files": [{"filename": "indices.arrow"}]}))
    with pytest.raises(SourceDataError, match=r"a selection from the files.*flatten_indices"):
        ArrowFormat(type="arrow").read(tmp_path)
    state.write_text(json.dumps(described))
    (data,) = tmp_path.glob("*.arrow")
    data.write_bytes(data.read_bytes()[:-400])
    with pytest.raises(SourceDataError, match=rf"{data.name}: cannot be read as Arrow"):
        take_in(ArrowFormat(type="arrow").read(tmp_path))
    data.unlink()
    with pytest.raises(SourceDataError, match=rf"{data.name}: cannot be read as Arrow"):
        take_in(ArrowFormat(type="arrow").read(tmp_path))
