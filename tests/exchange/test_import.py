"""Rows of others: every format, what is refused and why, ids, splits, and what is stored."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cultureclip.benchmarks.pictures import OUTSIDE
from cultureclip.concepts.exclusions import Exclusions
from cultureclip.datasets.twin_rows_dataset import TwinRowsDataset
from cultureclip.errors import ConfigurationError, SourceDataError
from cultureclip.exchange.checked_rows import EQUAL_CAPTIONS, EQUAL_CONCEPTS, EQUAL_PICTURES, LONGEST_TEXT, REPEATED
from cultureclip.exchange.formats.registry import FORMATS
from cultureclip.exchange.import_rows import NOTHING, import_rows
from cultureclip.exchange.imported_tables import ImportedRow, Tables, split_rows
from cultureclip.exchange.settings import ImportSettings
from cultureclip.ids import concept_id, digest, twin_id
from cultureclip.images.store import ShardStore
from cultureclip.reading.pictures import BROKEN, MISSING, decode_image
from cultureclip.tables import CAPTIONS, CONCEPTS, CULTWIN, IMPORTED_ROWS, TWINS
from tests.exchange import files
from tests.exchange.files import COUNT, NAMES, picture, write_released
from tests.support.benchmark_files import encode

ENTRY = {
    "title": "CulTwin",
    "source": "https://example.org/cultwin",
    "licence": "Apache-2.0",
    "terms": "train",
    "category": "Symbol",
    "cultures": ["001"],
}
WRITERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "released parquet": write_released,
    **{f"released {e}": lambda folder, e=e: write_released(folder, e) for e in ("jsonl", "json", "csv", "tsv")},
    "released inside": files.write_inside,
    "tripletclip": files.write_triplets,
    "sugarcrepe": files.write_sugarcrepe,
    "open_clip csv": files.write_open_clip_csv,
    "open_clip webdataset": files.write_open_clip_shards,
    "open_clip webdataset member": lambda folder: files.write_open_clip_shards(folder, as_member=True),
    "csv": files.write_csv,
}


def make_settings(**changes: Any) -> ImportSettings:
    values = {"dev_share": 0.3, "owners_split": True, "max_refused_share": 0.5, "near_duplicate_bits": None}
    return ImportSettings(**values | {"part_size": 3, "shard_digits": 1} | changes)


def open_rows(written: dict[str, Any], **changes: Any):
    given = {**ENTRY, "format": written["format"], **changes}
    return TwinRowsDataset(filepath=str(written["path"]), **given).load()


def bring_in(written: dict[str, Any], store: Path, exclude=NOTHING, **changes: Any) -> tuple[Tables, dict[str, Any]]:
    fields = {name: changes.pop(name) for name in list(changes) if name in ENTRY}
    made = import_rows(open_rows(written, **fields), ShardStore(store), make_settings(**changes), exclude)
    for table, schema in zip(made[0], (CONCEPTS, TWINS, CAPTIONS, CULTWIN, IMPORTED_ROWS), strict=True):
        schema.validate(table)
    return made


def refusals(tables: Tables) -> dict[str, int]:
    return tables.rows["reason"].value_counts().to_dict()


def test_every_format_is_tried(tmp_path):
    tried = {write(tmp_path / name)["format"]["type"] for name, write in WRITERS.items()}
    assert tried | {"cultureclip"} == set(FORMATS)  # our own is in test_import_pipeline.py


@pytest.mark.parametrize("name", WRITERS)
def test_a_format_gives_its_rows_with_their_own_pictures(tmp_path, name):
    written = WRITERS[name](tmp_path / "in")
    tables, metrics = bring_in(written, tmp_path / "store")
    assert metrics["kept"] == COUNT, refusals(tables)
    store = ShardStore(tmp_path / "store")
    assert store.present() == {*tables.cultwin["pos_image_id"], *tables.cultwin["neg_image_id"]}
    named = sorted(tables.cultwin["pos_concept"])
    alone = written["format"]["type"] not in ("released", "csv")
    assert [text.removeprefix("a ").split(" by")[0] for text in named if not text.startswith("a person")] == (
        [] if name == "tripletclip" else [a for a, _ in NAMES]
    )
    one = written["format"]["type"] in ("sugarcrepe", "open_clip_csv", "open_clip_webdataset")
    assert (tables.cultwin["pos_image_id"] == tables.cultwin["neg_image_id"]).eq(one).all()
    assert (tables.cultwin["pos_concept"] == tables.cultwin["pos_caption"]).eq(alone).all()
    assert set(tables.cultwin["split"]) == {"train", "dev"}
    for row in tables.cultwin.to_dict("records"):
        number = int("".join(char for char in row["pos_caption"] if char.isdigit()))
        shown = {side: store.read([row[f"{side}_image_id"]])[row[f"{side}_image_id"]] for side in ("pos", "neg")}
        expected = {"pos": picture(number, 0), "neg": picture(number, 1)}
        if one and "webdataset" not in name:
            expected["pos"] = encode(number, "JPEG" if name == "sugarcrepe" else "PNG")
        for side in ("pos",) if one else ("pos", "neg"):
            assert np.array_equal(np.asarray(shown[side]), np.asarray(decode_image(expected[side]))), (number, side)
            assert store.checksums([row[f"{side}_image_id"]]) == {
                row[f"{side}_image_id"]: hashlib.sha256(expected[side]).hexdigest()
            }


def test_a_csv_says_cultures_and_category_and_their_ids_are_those_of_the_atlas(tmp_path):
    tables, _ = bring_in(files.write_csv(tmp_path / "in"), tmp_path / "store")
    row = tables.cultwin.set_index("pos_concept").loc["robe 0"]
    ids = concept_id("robe 0", ["JP", "KR"], "Clothing"), concept_id("gown 0", ["BD", "IN"], "Clothing")
    assert (row["pos_concept_id"], row["neg_concept_id"], row["twin_id"]) == (*ids, twin_id(*ids))
    assert tables.concepts["cultures"].iloc[0] == ["JP", "KR"]
    assert set(tables.concepts["category"]) == {"Clothing"}


def test_a_second_import_stores_nothing_and_gives_the_same_rows(tmp_path):
    written = write_released(tmp_path / "in")
    first, metrics = bring_in(written, tmp_path / "store")
    parts = sorted((tmp_path / "store").rglob("*.parquet"))
    again, repeated = bring_in(written, tmp_path / "store")
    assert metrics["images"]["added"] == 2 * COUNT
    assert repeated["images"]["added"] == 0
    assert sorted((tmp_path / "store").rglob("*.parquet")) == parts
    for one, other in zip(first, again, strict=True):
        pd.testing.assert_frame_equal(one, other)
    assert not list((tmp_path / "store").glob(".*.tmp")), "the spool is gone"


def test_the_order_of_the_owners_rows_does_not_matter(tmp_path):
    one, other = write_released(tmp_path / "a"), write_released(tmp_path / "b")
    files.released_rows().iloc[::-1].to_parquet(tmp_path / "b/rows.parquet")
    first, second = (bring_in(w, tmp_path / f"store{n}")[0].cultwin for n, w in enumerate((one, other)))
    pd.testing.assert_frame_equal(first, second)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"pos_image_path": "images/none.img"}, f"pos_image: {MISSING}"),
        ({"neg_image_path": ""}, f"neg_image: {MISSING}"),
        ({"neg_image_path": "../../etc/passwd"}, f"neg_image: {OUTSIDE}"),
        ({"neg_image_path": "/etc/passwd"}, f"neg_image: {OUTSIDE}"),
        ({"neg_image_path": "images/pos/0.img"}, EQUAL_PICTURES),
        ({"neg_caption": "A person in a ROBE 0 at a feast"}, EQUAL_CAPTIONS),
        ({"neg_concept": "Robe 0"}, EQUAL_CONCEPTS),
        ({"pos_caption": None}, "no pos_caption"),
        ({"pos_concept": "  "}, "no pos_concept"),
        ({"pos_caption": "robe " * LONGEST_TEXT}, f"pos_caption is longer than {LONGEST_TEXT:,} characters"),
        ({"pos_image_path": "images/cut.img"}, BROKEN),
        (files.released_rows().iloc[1].to_dict(), REPEATED),
    ],
)
def test_a_bad_row_is_refused_with_its_reason_and_the_others_stay(tmp_path, changes, reason):
    written = write_released(tmp_path / "in", **changes)
    (tmp_path / "in/images/cut.img").write_bytes(picture(0, 0)[:200])
    tables, metrics = bring_in(written, tmp_path / "store")
    assert metrics["rejected"] == {reason: 1}
    assert len(tables.cultwin) == COUNT - 1
    refused = tables.rows[tables.rows["verdict"] == "rejected"]
    assert refused["reason"].tolist() == [reason]
    assert refused["place"].str.contains("row 1|row 2").all()


def test_a_malformed_line_is_in_the_table_of_rows_too(tmp_path):
    written = write_released(tmp_path / "in", "jsonl")
    with (tmp_path / "in/rows.jsonl").open("a") as file:
        file.write("{not json\n")
    tables, metrics = bring_in(written, tmp_path / "store")
    assert metrics["rejected"] == {"malformed row": 1}
    assert "rows.jsonl line 7" in set(tables.rows["place"])


def test_too_many_refused_rows_stop_the_import_before_a_picture_is_stored(tmp_path):
    written = write_released(tmp_path / "in")
    for file in (tmp_path / "in/images/pos").iterdir():
        file.unlink()
    with pytest.raises(SourceDataError, match=r"6 of 6 rows cannot be used .*pos_image: picture is missing") as raised:
        bring_in(written, tmp_path / "store")
    assert "catalog entry" in raised.value.remedy
    assert ShardStore(tmp_path / "store").present() == set()


def test_a_wrong_column_is_an_error_that_lists_those_that_are_there(tmp_path):
    written = write_released(tmp_path / "in")
    written["format"]["columns"] = {"neg_caption": "negative"}
    with pytest.raises(SourceDataError, match="no column 'negative', which the entry gives for neg_caption"):
        bring_in(written, tmp_path / "store")


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ({"format": {"type": "tar"}}, "give a type, one of csv, cultureclip"),
        ({"format": {"type": "csv", "columns": {"positive": "a"}}}, "nothing is called positive"),
        ({"format": {"type": "csv", "colums": {}}}, "Extra inputs"),
        ({"terms": "eval_only"}, "terms"),
        ({"cultures": ["Japan"]}, "not a region code"),
    ],
)
def test_a_wrong_entry_is_refused_before_anything_is_read(entry, fault):
    with pytest.raises(ConfigurationError, match=fault):
        TwinRowsDataset(filepath="rows.csv", **{**ENTRY, "format": {"type": "csv"}} | entry)


def test_files_that_are_not_there_are_named(tmp_path):
    rows = open_rows({"path": tmp_path, "format": {"type": "released"}})
    assert not rows.exist()
    with pytest.raises(SourceDataError, match=r"no \*\*/\*\.parquet there"):
        import_rows(rows, ShardStore(tmp_path / "store"), make_settings())


def test_rows_that_must_not_be_passed_on_say_so(tmp_path):
    tables, _ = bring_in(write_released(tmp_path / "in"), tmp_path / "store", terms="no_redistribute")
    assert set(tables.cultwin["licence"]) == {"Apache-2.0 AND LicenseRef-no-redistribute"}
    assert set(tables.concepts["terms"]) == {"no_redistribute"}


def test_what_people_exclude_is_not_imported(tmp_path):
    written = write_released(tmp_path / "in")
    tables, metrics = bring_in(written, tmp_path / "store", Exclusions(concepts=["gown 3"]))
    assert metrics["rejected"] == {"excluded": 1}
    assert "robe 3" not in set(tables.cultwin["pos_concept"])
    assert "gown 3" in set(tables.concepts["name"]), "it stays known, so that later stages can check the list"
    with pytest.raises(ConfigurationError, match="no concept is called 'gwon'"):
        bring_in(written, tmp_path / "store", Exclusions(concepts=["gwon"]))


def with_ids(folder: Path, image: bytes, caption: str = "a robe") -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.png").write_bytes(image)
    (folder / "b.png").write_bytes(encode(99))
    rows = {"pos_image": "a.png", "neg_image": "b.png", "pos_concept": "robe", "neg_concept": "gown"}
    rows |= {"pos_caption": caption, "neg_caption": "a gown", "pos_image_id": "a" * 20, "row_id": "b" * 20}
    other = rows | {"pos_image_id": "", "row_id": "", "pos_concept": "coat", "pos_caption": "a coat"}
    pd.DataFrame([rows, other]).to_csv(folder / "rows.csv", index=False)
    columns = {"pos_image_id": "pos_image_id", "row_id": "row_id"}
    return {"path": folder / "rows.csv", "format": {"type": "csv", "columns": columns}}


def test_two_imports_with_one_id_and_other_content_are_refused(tmp_path):
    bring_in(with_ids(tmp_path / "a", encode(1)), tmp_path / "store")
    bring_in(with_ids(tmp_path / "b", encode(1)), tmp_path / "store")
    bring_in(with_ids(tmp_path / "same pixels", encode(1, "BMP")), tmp_path / "store")
    with pytest.raises(SourceDataError, match="image aaaaaaaaaaaaaaaaaaaa: the store has another picture"):
        bring_in(with_ids(tmp_path / "c", encode(2)), tmp_path / "store")


def test_one_row_id_with_two_contents_in_one_import_is_refused(tmp_path):
    written = with_ids(tmp_path / "a", encode(1))
    table = pd.read_csv(written["path"], dtype=str, keep_default_na=False)
    table.loc[1, "row_id"] = table.loc[0, "row_id"]
    table.to_csv(written["path"], index=False)
    with pytest.raises(SourceDataError, match="has the same row_id and other content"):
        bring_in(written, tmp_path / "store")


def test_pictures_that_are_not_shown_as_they_are_stored_become_png(tmp_path):
    written = write_released(tmp_path / "in")
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(2, 4, 3).repeat(8, 0).repeat(8, 1))
    turned.save(tmp_path / "in/images/pos/0.img", "JPEG", exif=exif)
    Image.new("RGBA", (8, 8), (9, 9, 9, 99)).save(tmp_path / "in/images/neg/0.img", "PNG")
    tables, metrics = bring_in(written, tmp_path / "store")
    assert metrics["images"]["written_as_png"] == 2
    row = tables.cultwin.set_index("pos_concept").loc["robe 0"]
    pos, neg = ShardStore(tmp_path / "store").read([row["pos_image_id"], row["neg_image_id"]]).values()
    assert pos.size == (16, 32)
    assert neg.getpixel((0, 0)) == decode_image((tmp_path / "in/images/neg/0.img").read_bytes()).getpixel((0, 0))


def test_neighbouring_ids_lie_in_one_part_of_at_most_its_size(tmp_path):
    bring_in(write_released(tmp_path / "in"), tmp_path / "store", part_size=2)
    for part in (tmp_path / "store").rglob("*.parquet"):
        ids = pd.read_parquet(part)["image_id"].tolist()
        assert len(ids) <= 2
        assert all(identity.startswith(part.parent.name) for identity in ids)
        assert ids == sorted(ids)


def test_an_interrupted_import_keeps_what_it_stored(tmp_path, monkeypatch):
    written = write_released(tmp_path / "in")
    write, calls = ShardStore.write_part, []

    def fail(self, shard, records):
        calls.append(shard)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return write(self, shard, records)

    monkeypatch.setattr(ShardStore, "write_part", fail)
    with pytest.raises(OSError, match="No space"):
        bring_in(written, tmp_path / "store")
    kept = ShardStore(tmp_path / "store").present()
    assert kept
    assert not list((tmp_path / "store").glob(".*.tmp"))
    monkeypatch.undo()
    tables, metrics = bring_in(written, tmp_path / "store")
    assert metrics["images"]["added"] == 2 * COUNT - len(kept)
    assert len(tables.cultwin) == COUNT


class FakeRow:
    """The part of an imported row that the split looks at."""

    def __init__(self, a: int, b: int, images: tuple[int, int], split: str = "") -> None:
        side = lambda n: type("Side", (), {"concept_id": digest(n)})()  # noqa: E731
        self.checked = type("Row", (), {"sides": {"pos": side(a), "neg": side(b)}, "split": split})()
        self.images = {"pos": digest("i", images[0]), "neg": digest("i", images[1])}
        self.place = f"row {a} {b}"


ROWS = st.lists(st.tuples(*[st.integers(0, 9)] * 4), min_size=1, max_size=25)


@given(ROWS, st.floats(0, 0.9))
@settings(deadline=None)
def test_no_concept_and_no_picture_is_on_both_sides(rows, share):
    made: list[ImportedRow] = [FakeRow(a, b + 10, (c, d)) for a, b, c, d in rows]  # type: ignore[misc]
    splits = split_rows(made, make_settings(dev_share=share))
    sides: dict[str, set[str]] = {"train": set(), "dev": set()}
    for row, split in zip(made, splits, strict=True):
        concepts = {side.concept_id for side in row.checked.sides.values()}
        sides[split] |= concepts | set(row.images.values())
    assert sides["train"].isdisjoint(sides["dev"])
    assert splits.count("dev") <= np.ceil(share * len(rows))


def test_the_owners_split_is_kept_unless_it_leaks():
    rows = [FakeRow(0, 1, (0, 1), "dev"), FakeRow(0, 2, (2, 3)), FakeRow(4, 5, (4, 5), "train")]
    assert split_rows(rows, make_settings(dev_share=0)) == ["dev", "dev", "train"]
    leaking = [*rows, FakeRow(6, 2, (9, 9), "train")]
    with pytest.raises(SourceDataError, match="row 0 1 and row 6 2 are connected"):
        split_rows(leaking, make_settings())
    assert len(split_rows(leaking, make_settings(owners_split=False))) == 4
    by_picture = [FakeRow(0, 1, (0, 1), "dev"), FakeRow(2, 3, (1, 4), "train")]
    with pytest.raises(SourceDataError, match="connected by concepts or pictures"):
        split_rows(by_picture, make_settings())
