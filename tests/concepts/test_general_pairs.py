"""General pairs: nothing culture-bound or held out among them; a folder of one's own."""

import os
import unicodedata

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cultureclip.concepts.general_pairs import GENERAL_PAIRS, PairPictures, list_general_pairs
from cultureclip.errors import SourceDataError
from cultureclip.pictures.emoji import list_emoji, split_emoji

CONCEPTS = pd.DataFrame({"reference_image": ["emoji:👘", "emoji:🌮", None]})


def folder_with(path, rows, header="file_name,text"):
    Image.new("RGB", (20, 10), "red").save(path / "red.png")
    (path / "metadata.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return str(path)


def test_emoji_pairs_leave_out_culture_kin_and_what_general_ability_is_measured_on():
    pairs = list_general_pairs("emoji", 10_000, CONCEPTS)
    GENERAL_PAIRS.validate(pairs)
    roles = split_emoji(list_emoji(), {"👘", "🌮"})
    shown = {picture.partition(":")[2] for picture in pairs["picture"]}
    replayed = {e.char for e in list_emoji() if e.is_replayed}
    assert shown == {char for char, role in roles.items() if role == "general"} & replayed
    held_out = {f"a picture of {e.name}" for e in list_emoji() if roles[e.char] == "held_out"}
    assert not held_out & set(pairs["text"])


def test_fewer_pairs_are_a_subset_in_the_order_of_ids():
    most, few = list_general_pairs("emoji", 10_000, CONCEPTS), list_general_pairs("emoji", 50, CONCEPTS)
    assert len(few) == 50 and set(few["pair_id"]) < set(most["pair_id"])
    assert list(few["pair_id"]) == sorted(few["pair_id"])
    assert few["picture"].str.startswith("openmoji:").any() and few["picture"].str.startswith("twemoji:").any()


def test_no_source_gives_an_empty_table_that_is_valid():
    pairs = list_general_pairs(None, 10, CONCEPTS)
    assert pairs.empty
    GENERAL_PAIRS.validate(pairs)
    assert PairPictures(pairs, 16).ids == []


def test_a_folder_of_ones_own_is_read_in_the_hubs_layout(tmp_path):
    pairs = list_general_pairs(folder_with(tmp_path, ["red.png,a red card"]), 10, CONCEPTS)
    assert list(pairs["text"]) == ["a red card"]
    (picture,) = PairPictures(pairs, 16).read(list(pairs["pair_id"]))
    assert picture.size == (20, 10) and picture.getpixel((0, 0)) == (255, 0, 0)


def test_ids_follow_the_picture_and_not_the_place_of_the_folder(tmp_path):
    ids = []
    for place, size in (("a", 20), ("b", 20), ("c", 200)):
        (tmp_path / place).mkdir()
        source = folder_with(tmp_path / place, ["red.png,a red card"])
        Image.new("RGB", (size, 10), "red").save(tmp_path / place / "red.png")
        ids += list(list_general_pairs(source, 10, CONCEPTS)["pair_id"])
    assert ids[0] == ids[1] != ids[2]


def test_checksums_follow_the_pictures(tmp_path):
    pairs = list_general_pairs(folder_with(tmp_path, ["red.png,a red card"]), 10, CONCEPTS)
    ids, file = list(pairs["pair_id"]), tmp_path / "red.png"
    before = PairPictures(pairs, 16).checksums(ids)
    assert PairPictures(pairs, 32).checksums(ids) == before
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert PairPictures(pairs, 16).checksums(ids) != before
    file.unlink()
    with pytest.raises(SourceDataError, match=r"red\.png: cannot be read"):
        PairPictures(pairs, 16).checksums(ids)
    emoji = list_general_pairs("emoji", 3, CONCEPTS)
    small, large = (PairPictures(emoji, size).checksums(list(emoji["pair_id"])) for size in (16, 32))
    assert len({*small, *large}) == 6


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (["red.png,a"], "file,text", "lacks the columns .'file_name'"),
        (["blue.png,a"], "file_name,text", "line 2: 'blue.png' is not a picture"),
        (["red.png,a", "../../etc/passwd,a"], "file_name,text", "line 3: '../../etc/passwd' names a file outside"),
        (["red.png,a", "/etc/passwd,a"], "file_name,text", "line 3: '/etc/passwd' names a file outside"),
        (["red.png,"], "file_name,text", "line 2: 'red.png' has no text"),
        (["red.png,a,", "red.png,b"], "file_name,text", "line 2: 3 cells, the header has 2"),
        (['red.png,"a', 'b"', "", "red.png"], "file_name,text", "line 5: 1 cells, the header has 2"),
        (['red.png,"a', 'b"', "", "blue.png,x"], "file_name,text", "line 5: 'blue.png' is not a picture"),
        (["red.png,a,b"], "file_name,text,text", "two columns are called 'text'"),
        (["red\0.png,a"], "file_name,text", "line 2: a NUL character"),
        (["x" * 5_000 + ",a"], "file_name,text", "line 2: 'x{80}…' is not a picture"),
    ],
)
def test_a_folder_that_cannot_be_used_names_the_row(tmp_path, rows, header, message):
    with pytest.raises(SourceDataError, match=message):
        list_general_pairs(folder_with(tmp_path, rows, header), 10, CONCEPTS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"\xff\xfe\x00\x01", "line 1: not UTF-8"),
        (b"file_name,text\na.png,caf\xe9\n", "line 2: not UTF-8"),
        (b"file_name,text\n", "no row"),
    ],
)
def test_a_table_without_rows_is_no_silent_end_of_replay(tmp_path, content, message):
    (tmp_path / "metadata.csv").write_bytes(content)
    with pytest.raises(SourceDataError, match=message):
        list_general_pairs(str(tmp_path), 10, CONCEPTS)


def test_a_missing_folder_says_what_to_write(tmp_path):
    with pytest.raises(SourceDataError, match=r"metadata\.csv: no such file"):
        list_general_pairs(str(tmp_path / "nowhere"), 10, CONCEPTS)


def test_a_table_may_begin_with_a_byte_order_mark_and_name_pictures_in_either_unicode_form(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))
    folder_with(tmp_path, [])
    (tmp_path / "red.png").rename(tmp_path / f"{decomposed}.png")
    ids = set()
    for name, text in ((composed, decomposed), (decomposed, composed)):
        (tmp_path / "metadata.csv").write_text(f"file_name,text\n{name}.png,{text}\n", encoding="utf-8-sig")
        pairs = list_general_pairs(str(tmp_path), 10, CONCEPTS)
        assert list(pairs["text"]) == [composed]
        assert PairPictures(pairs, 16).read(list(pairs["pair_id"]))[0].size == (20, 10)
        ids |= set(pairs["pair_id"])
    assert len(ids) == 1


def test_pictures_behind_links_are_read_and_deep_ones_are_scaled(tmp_path):
    (tmp_path / "cache").mkdir()
    deep = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(deep).save(tmp_path / "cache/blob", "PNG")
    (tmp_path / "own").mkdir()
    (tmp_path / "own/deep.png").symlink_to("../cache/blob")
    pairs = list_general_pairs(folder_with(tmp_path / "own", ["deep.png,a ramp"]), 10, CONCEPTS)
    (picture,) = PairPictures(pairs, 16).read(list(pairs["pair_id"]))
    np.testing.assert_array_equal(np.asarray(picture)[..., 0], deep >> 8)


def test_what_is_not_a_picture_file_is_named_with_its_line(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "gone.png").symlink_to("nowhere.png")
    (tmp_path / "sub").mkdir()
    for name, cause in {"pipe.png": "a named pipe", "gone.png": "a symbolic link whose target is missing"}.items():
        with pytest.raises(SourceDataError, match=f"line 2: '{name}' is not a picture in the folder: it is {cause}"):
            list_general_pairs(folder_with(tmp_path, [f"{name},a"]), 10, CONCEPTS)
    with pytest.raises(SourceDataError, match="'sub' is not a picture in the folder: it is a folder"):
        list_general_pairs(folder_with(tmp_path, ["sub,a"]), 10, CONCEPTS)


def test_a_picture_of_floats_is_refused_by_name_when_it_is_read(tmp_path):
    Image.fromarray(np.zeros((8, 8), np.float32)).save(tmp_path / "float.tif")
    pairs = list_general_pairs(folder_with(tmp_path, ["float.tif,a"]), 10, CONCEPTS)
    with pytest.raises(SourceDataError, match=r"float\.tif: picture has pixels of mode F.*save it as 8-bit RGB"):
        PairPictures(pairs, 16).read(list(pairs["pair_id"]))
