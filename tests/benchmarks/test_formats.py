"""Every format gives the rows that its owner's own writer put in; pictures are read when they are asked for."""

import io
import json
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cultureclip.benchmarks.formats.arrow import ArrowFormat
from cultureclip.benchmarks.formats.csv_table import CsvFormat
from cultureclip.benchmarks.formats.json_files import KarpathyFormat, SugarCrepeFormat
from cultureclip.benchmarks.formats.parquet import ParquetFormat
from cultureclip.benchmarks.formats.webdataset import WebDatasetFormat
from cultureclip.benchmarks.pictures import OUTSIDE, FileIn, LazyPictures
from cultureclip.benchmarks.protocols.image_text_retrieval import PROTOCOL as CAPTIONS
from cultureclip.benchmarks.rows import Format, Intake, Row, Source, take_in
from cultureclip.errors import SourceDataError
from cultureclip.ids import bytes_digest
from cultureclip.reading.pictures import BROKEN, MAX_PIXELS, MISSING, NOT_A_PICTURE, TOO_LARGE, unread_format
from tests.support.benchmark_files import (
    encode,
    make_table,
    stored,
    write_karpathy,
    write_parquet,
    write_pictures,
    write_webdataset,
)
from tests.support.picture_files import png

CROPE = {
    "image": [stored(encode(0)), stored(encode(1))],
    "definition_images": [[stored(encode(2)), stored(encode(3))], []],
    "metadata": [{"image_en_concept": "a", "definition_concept": "b"}] * 2,
    "answer": ["no", "yes"],
}


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def check_crope(intake: Intake) -> None:
    first, second = intake.rows
    assert first.values == {"metadata.image_en_concept": "a", "metadata.definition_concept": "b", "answer": "no"}
    assert first.images == {
        "image": (bytes_digest(encode(0)),),
        "definition_images": (bytes_digest(encode(2)), bytes_digest(encode(3))),
    }
    assert (second.images["image"], second.values["answer"]) == ((bytes_digest(encode(1)),), "yes")
    assert len(intake.pictures) == 4
    for number in range(4):
        np.testing.assert_array_equal(intake.pictures[bytes_digest(encode(number))], pixels(encode(number)))
    assert intake.pictures.size_of(bytes_digest(encode(0))) == (20, 16)


def test_parquet_of_the_hub(tmp_path: Path) -> None:
    check_crope(take_in(ParquetFormat(type="parquet").read(write_parquet(tmp_path, CROPE))))


def test_parquet_without_the_librarys_description_of_its_columns(tmp_path: Path) -> None:
    import pyarrow.parquet

    file = write_parquet(tmp_path, CROPE) / "data/test-00000-of-00001-0f.parquet"
    plain = pyarrow.parquet.read_table(file).replace_schema_metadata(None)
    pyarrow.parquet.write_table(plain, file)
    check_crope(take_in(ParquetFormat(type="parquet").read(tmp_path)))


@pytest.mark.parametrize("split", [None, "test"])
def test_arrow_on_disk(tmp_path: Path, split: str | None) -> None:
    from datasets import DatasetDict

    table = make_table(CROPE)
    (DatasetDict({split: table}) if split else table).save_to_disk(tmp_path)
    check_crope(take_in(ArrowFormat(type="arrow", split=split).read(tmp_path)))


def test_parquet_in_several_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    for part in (1, 0):
        columns = {"image": [stored(encode(part))], "region": [f"r{part}"]}
        write_parquet(tmp_path, columns, f"test-0000{part}-of-00002-ab.parquet")
    rows = take_in(ParquetFormat(type="parquet", files="data/test-*.parquet").read(tmp_path)).rows
    assert [row.values["region"] for row in rows] == ["r0", "r1"]


def test_an_image_that_a_table_names_lies_beside_it(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    write_pictures(tmp_path, ["a.png"])
    images = [stored(None, "a.png"), stored(None, "../a.png"), stored(None, None), stored(b""), None]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pyarrow.parquet.write_table(pa.table({"image": pa.array(images, kind)}), tmp_path / "t.parquet")
    intake = take_in(ParquetFormat(type="parquet").read(tmp_path))
    assert list(intake.pictures) == [bytes_digest(encode(0))]
    assert [(item.item, item.reason) for item in intake.left_out] == [
        ("row 2", OUTSIDE),
        ("row 3", MISSING),
        ("row 4", MISSING),
    ]
    assert intake.rows[4].values == {"image": None}


def test_damaged_tables_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(SourceDataError, match=r"a\.parquet: cannot be read as parquet.*Fetch it again"):
        ParquetFormat(type="parquet").read(tmp_path)
    (tmp_path / "dataset_info.json").write_text("{}")
    with pytest.raises(SourceDataError, match=r"state\.json: not of a saved dataset \(.*No such file"):
        take_in(ArrowFormat(type="arrow").read(tmp_path))


def test_webdataset_for_classification(tmp_path: Path) -> None:
    samples = [{"png": encode(n), "cls": n % 3} for n in range(25)]
    write_webdataset(
        tmp_path / "w", samples, 10, classnames=["a", "b", "ç"], zeroshot_classification_templates=["a photo of {c}."]
    )
    source = WebDatasetFormat(type="webdataset").read(tmp_path / "w")
    intake = take_in(source)
    assert (source.classes, source.templates) == (("a", "b", "ç"), ("a photo of {c}.",))
    assert [row.values["label"] for row in intake.rows] == [n % 3 for n in range(25)]
    assert [row.image("image") for row in intake.rows] == [bytes_digest(encode(n)) for n in range(25)]
    assert intake.rows[12].place == "s0000012 in test/1.tar"
    np.testing.assert_array_equal(intake.pictures[bytes_digest(encode(17))], pixels(encode(17)))


@pytest.mark.filterwarnings("ignore:WebDataset")
def test_webdataset_is_read_as_clip_benchmark_reads_it(tmp_path: Path) -> None:
    from clip_benchmark.datasets.builder import build_wds_dataset

    samples = [{"png": encode(n), "txt": f"one {n}\ntwo {n}", "json": {"region": f"r{n}"}} for n in range(12)]
    folder = write_webdataset(tmp_path / "w", samples, 5, dataset_type=["retrieval"])
    intake = take_in(WebDatasetFormat(type="webdataset").read(folder))
    theirs = list(build_wds_dataset("w", lambda image: np.asarray(image.convert("RGB")), "test", str(folder)))
    assert len(theirs) == len(intake.rows) == 12
    for row, (image, captions) in zip(intake.rows, theirs, strict=True):
        np.testing.assert_array_equal(intake.pictures[row.image("image") or ""], image)
        assert row.values["captions"] == captions
    assert intake.rows[3].values["region"] == "r3"


def test_more_than_ten_archives_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    folder = write_webdataset(tmp_path / "w", [{"png": encode(n), "cls": n} for n in range(12)], 1)
    rows = WebDatasetFormat(type="webdataset").read(folder).rows
    assert [row.values["label"] for row in rows] == list(range(12))


def test_an_archive_that_is_missing_or_cut_off_is_an_error(tmp_path: Path) -> None:
    folder = write_webdataset(tmp_path / "w", [{"png": encode(n), "cls": n} for n in range(6)], 2)
    last = folder / "test/2.tar"
    last.write_bytes(last.read_bytes()[:1900])
    with pytest.raises(SourceDataError, match=r"2\.tar: not a whole tar archive"):
        list(WebDatasetFormat(type="webdataset").read(folder).rows)
    last.unlink()
    with pytest.raises(SourceDataError, match=r"counts 3 archives, 2\.tar not there"):
        WebDatasetFormat(type="webdataset").read(folder)


def test_karpathys_splits(tmp_path: Path) -> None:
    def image(name: str, split: str, *sentences: str) -> dict:
        raw = [{"raw": sentence, "tokens": []} for sentence in sentences]
        return {"filepath": "val2014", "filename": name, "split": split, "sentences": raw, "cocoid": 1}

    images = [image("a.jpg", "test", "one", "two"), image("b.jpg", "restval", "three"), image("c.jpg", "test", "four")]
    write_karpathy(tmp_path, images)
    write_pictures(tmp_path / "pictures/val2014", ["a.jpg", "b.jpg", "c.jpg"], "JPEG")
    entry = KarpathyFormat(type="karpathy", annotations="dataset_coco.json", pictures="pictures")
    intake = take_in(entry.read(tmp_path))
    assert [row.values["captions"] for row in intake.rows] == [["one", "two"], ["four"]]
    assert [row.image("image") for row in intake.rows] == [bytes_digest(encode(n, "JPEG")) for n in (0, 2)]
    with pytest.raises(SourceDataError, match="no image of the split 'dev'"):
        entry.model_copy(update={"split": "dev"}).read(tmp_path)


def test_sugarcrepes_subsets(tmp_path: Path) -> None:
    write_pictures(tmp_path / "val2017", ["1.jpg", "2.jpg"], "JPEG")
    for subset in ("swap_att", "add_obj"):
        rows = {str(n): {"filename": f"{n + 1}.jpg", "caption": f"{n}", "negative_caption": subset} for n in range(2)}
        (tmp_path / f"{subset}.json").write_text(json.dumps(rows))
    intake = take_in(SugarCrepeFormat(type="sugarcrepe", pictures="val2017").read(tmp_path))
    assert [(row.place, row.values["subset"], row.values["negative_caption"]) for row in intake.rows] == [
        ("add_obj.json, 0", "add_obj", "add_obj"),
        ("add_obj.json, 1", "add_obj", "add_obj"),
        ("swap_att.json, 0", "swap_att", "swap_att"),
        ("swap_att.json, 1", "swap_att", "swap_att"),
    ]
    assert len(intake.pictures) == 2


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff\xfe", b"[" * 100_000])
def test_json_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "swap_att.json").write_bytes(content)
    with pytest.raises(SourceDataError, match=r"swap_att\.json: it cannot be used \(not (JSON|UTF-8|a JSON object)"):
        list(SugarCrepeFormat(type="sugarcrepe").read(tmp_path).rows)


def test_a_csv_with_lists_quotes_and_a_byte_order_mark(tmp_path: Path) -> None:
    write_pictures(tmp_path / "p", ["a.png", "b.png"])
    text = 'image,captions,label\na.png," one | ""two"" ",NA\nb.png,three, x \n'
    (tmp_path / "own.csv").write_text(text, encoding="utf-8-sig")
    intake = take_in(CsvFormat(type="csv", pictures="p").read_as(tmp_path / "own.csv", {}, CAPTIONS))
    assert [dict(row.values) for row in intake.rows] == [
        {"captions": ["one", '"two"'], "label": "NA"},
        {"captions": ["three"], "label": "x"},
    ]
    assert [row.place for row in intake.rows] == ["line 2", "line 3"]


@pytest.mark.parametrize("content", [b"", b"picture,label\na.png,x\n", b"image\n\xff\n", b'image,label\n"a.png'])
def test_a_csv_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "own.csv").write_bytes(content)
    with pytest.raises(SourceDataError, match=r"own\.csv"):
        CsvFormat(type="csv").read_as(tmp_path / "own.csv", {}, CAPTIONS)


COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))


def write_in_one_form(kind: str, folder: Path, name: str) -> Format:
    """A benchmark of one row whose column, text and picture are all called ``name``."""
    picture = f"{name}.png"
    if kind == "csv":
        (folder / "own.csv").write_text(f"image,{name}\n{picture},{name}\n", encoding="utf-8")
        return CsvFormat(type="csv")
    if kind == "parquet":
        pd.DataFrame({"image": [stored(None, picture)], name: [name]}).to_parquet(folder / f"{name}.parquet")
        return ParquetFormat(type="parquet", files=f"{COMPOSED}.parquet")
    if kind == "arrow":
        from datasets import Dataset

        Dataset.from_dict({"image": [stored(None, picture)], name: [name]}).save_to_disk(folder / name)
        for file in folder.glob("*.png"):
            file.rename(folder / name / file.name)
        return ArrowFormat(type="arrow", split=COMPOSED)
    if kind == "webdataset":
        write_webdataset(folder, [{"__key__": name, "png": encode(0), "json": {name: name}}], 5)
        return WebDatasetFormat(type="webdataset")
    rows = {"0": {"filename": picture, "caption": name, "negative_caption": name}}
    (folder / f"{name}_x.json").write_text(json.dumps(rows))
    return SugarCrepeFormat(type="sugarcrepe", annotations=f"{COMPOSED}_*.json")


@pytest.mark.parametrize("kind", ["csv", "parquet", "arrow", "webdataset", "sugarcrepe"])
def test_a_name_is_one_name_in_both_unicode_forms(tmp_path: Path, kind: str) -> None:
    intakes = []
    for disk, table in ((COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED), (DECOMPOSED, DECOMPOSED)):
        folder = tmp_path / f"{disk.encode().hex()}{table.encode().hex()}"
        write_pictures(folder, [f"{disk}.png"])
        found = write_in_one_form(kind, folder, table)
        column = "caption" if kind == "sugarcrepe" else COMPOSED
        path = folder / "own.csv" if kind == "csv" else folder
        intakes.append(take_in(found.read_as(path, {"text": column}, CAPTIONS)))
    for intake in intakes:
        (row,) = intake.rows
        assert row.values["text"] == COMPOSED
        assert row.images == {"image": (bytes_digest(encode(0)),)}


def test_lines_end_at_a_line_feed_alone(tmp_path: Path) -> None:
    separated = "tea\u2028house \x85 \x0b \x1c b"
    names = ["a", separated, "c"]
    samples = [{"png": encode(n), "cls": n, "txt": f"{separated}\r\ntwo"} for n in range(3)]
    folder = write_webdataset(tmp_path / "w", samples, 5, classnames=names, zeroshot_classification_templates=["{c}"])
    source = WebDatasetFormat(type="webdataset").read(folder)
    assert source.classes == tuple(names)
    assert [row.values["captions"] for row in source.rows] == [[separated, "two"]] * 3


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", NOT_A_PICTURE),
        (b"no image", NOT_A_PICTURE),
        (encode(0, "JPEG", (200, 160))[:-500], BROKEN),
        (encode(0, "PNG", (200, 160))[:-500], BROKEN),
        (encode(0, "WEBP", (200, 160))[:-500], BROKEN),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", unread_format("EPS")),
        (png(30_000, 30_000, 8, 2, bytes(30_000)), TOO_LARGE),
    ],
)
def test_a_picture_that_is_none_is_left_out_and_the_others_stay(tmp_path: Path, data: bytes, reason: str) -> None:
    write_pictures(tmp_path, ["a.png", "b.png"])
    (tmp_path / "c").write_bytes(data)
    rows = [Row(name, {}, {"image": (FileIn(tmp_path, name),)}) for name in ("a.png", "c", "gone", "b.png", "\0")]
    intake = take_in(Source(rows))
    assert [row.image("image") is not None for row in intake.rows] == [True, False, False, True, False]
    assert [item.reason for item in intake.left_out] == [reason, MISSING, MISSING]
    assert MAX_PIXELS < 30_000**2


def test_pictures_are_decoded_at_each_access_and_checked_against_their_key(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["a.png", "b.png"])
    pictures = take_in(Source([Row(n, {}, {"image": (FileIn(tmp_path, n),)}) for n in ("a.png", "b.png")])).pictures
    first, second = pictures
    assert isinstance(pictures, LazyPictures)
    assert pictures[first] is not pictures[first]
    assert list(pictures.only({second})) == [second]
    (tmp_path / "a.png").write_bytes(encode(5))
    with pytest.raises(SourceDataError, match="changed since"):
        pictures[first]
    (tmp_path / "b.png").unlink()
    with pytest.raises(SourceDataError, match=MISSING):
        pictures[second]
    with pytest.raises(KeyError):
        pictures["other"]


def test_what_is_transparent_becomes_white(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 2), (255, 0, 0, 0)).save(tmp_path / "a.png")
    pictures = take_in(Source([Row("a", {}, {"image": (FileIn(tmp_path, "a.png"),)})])).pictures
    assert (next(iter(pictures.values())) == 255).all()


def test_lazy_pictures_cross_to_another_process(tmp_path: Path) -> None:
    import pickle

    folder = write_webdataset(tmp_path / "w", [{"png": encode(0), "cls": 0}], 5)
    for source in (
        WebDatasetFormat(type="webdataset").read(folder),
        ParquetFormat(type="parquet").read(write_parquet(tmp_path / "p", {"image": [stored(encode(0))]})),
    ):
        pictures = pickle.loads(pickle.dumps(take_in(source).pictures))
        np.testing.assert_array_equal(pictures[bytes_digest(encode(0))], pixels(encode(0)))
