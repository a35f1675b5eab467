"""The cache of decoded images: the same pixels as without it, made once, and again when it is damaged."""

import errno
import io
import json
import resource
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cultureclip.clip.data import pixels as pixels_module
from cultureclip.clip.data.pixels import decode
from cultureclip.errors import DamagedShardError, StorageError
from cultureclip.images.records import encode_image
from cultureclip.images.store import ImageSet, ShardStore
from tests.clip.conftest import PngImages


def make_images(count=11, size=40):
    rng, images = np.random.default_rng(0), {}
    for number in range(count):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (size, size + number, 3), np.uint8)).save(buffer, "PNG")
        images[f"{number:02}"] = buffer.getvalue()
    return PngImages(images)


@pytest.fixture
def images(monkeypatch):
    monkeypatch.setattr(pixels_module, "_READ_AT_ONCE", 4)
    return make_images()


def files(folder, pattern):
    return sorted(folder.glob(pattern))


def test_cached_pixels_are_the_preprocessed_pictures_and_nothing_is_read_again(encoder, images, tmp_path):
    first = decode(images, images.ids, encoder, tmp_path)
    for pixels, picture in zip(first.pixels, images.read(images.ids), strict=True):
        want = (encoder.preprocess(picture.convert("RGB")) * 0.5 + 0.5) * 255
        np.testing.assert_allclose(pixels, want, rtol=0, atol=1e-3)
    assert np.array_equal(first.pixels, decode(images, images.ids, encoder).pixels)
    images.reads = 0
    again = decode(images, images.ids, encoder, tmp_path)
    assert images.reads == 0 and np.array_equal(again.pixels, first.pixels)
    assert isinstance(again.pixels, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        again.pixels[0] = 0


def test_other_pictures_ids_or_preprocessing_have_a_cache_of_their_own(encoder, images, tmp_path):
    decode(images, images.ids, encoder, tmp_path)
    decode(images, images.ids[:5], encoder, tmp_path)
    images.data["03"] = images.data["04"]
    changed = decode(images, images.ids, encoder, tmp_path)
    assert np.array_equal(changed.pixels[3], changed.pixels[4])
    encoder.model.visual.preprocess_cfg["interpolation"] = "bilinear"
    decode(images, images.ids, encoder, tmp_path)
    assert len(files(tmp_path, "*.npy")) == 4


def test_what_is_unreadable_is_known_from_the_cache_too(encoder, images, tmp_path):
    images.data |= {"03": images.data["03"][:500], "07": b"no picture"}
    first = decode(images, images.ids, encoder, tmp_path)
    images.reads = 0
    again = decode(images, images.ids, encoder, tmp_path)
    assert images.reads == 0 and list(again.unreadable) == ["03", "07"]
    assert again.unreadable == first.unreadable and list(decode(images, images.ids, encoder).unreadable) == ["03", "07"]
    assert not again.pixels[[3, 7]].any() and again.pixels[[0, 8]].any(axis=(1, 2, 3)).all()


def cut(path, _):
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(path, _):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def other_header(path, _):
    path.write_bytes(b"no array" + path.read_bytes()[8:])


def half_a_record(_, beside):
    beside.write_bytes(beside.read_bytes()[:40])


def foreign_record(_, beside):
    beside.write_text(json.dumps({"size": 1}))


def no_record(_, beside):
    beside.unlink()


def no_pixels(path, _):
    path.unlink()


@pytest.mark.parametrize("damage", [cut, flip_a_bit, other_header, half_a_record, foreign_record])
def test_a_damaged_cache_is_named_and_made_anew(encoder, images, tmp_path, caplog, damage):
    whole = np.array(decode(images, images.ids, encoder, tmp_path).pixels)
    path = files(tmp_path, "*.npy")[0]
    damage(path, path.with_suffix(".json"))
    assert np.array_equal(decode(images, images.ids, encoder, tmp_path).pixels, whole)
    assert [path.name in message for message in caplog.messages] == [True]
    images.reads = 0
    decode(images, images.ids, encoder, tmp_path)
    assert images.reads == 0


@pytest.mark.parametrize("damage", [no_record, no_pixels])
def test_half_a_cache_does_not_count(encoder, images, tmp_path, damage):
    whole = np.array(decode(images, images.ids, encoder, tmp_path).pixels)
    path = files(tmp_path, "*.npy")[0]
    damage(path, path.with_suffix(".json"))
    assert np.array_equal(decode(images, images.ids, encoder, tmp_path).pixels, whole)


def test_stopped_half_way_leaves_nothing_behind(encoder, images, tmp_path, monkeypatch):
    real = images.read

    def stopping(ids):
        if images.reads == 2:
            raise KeyboardInterrupt
        return real(ids)

    monkeypatch.setattr(images, "read", stopping)
    with pytest.raises(KeyboardInterrupt):
        decode(images, images.ids, encoder, tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_a_full_disk_is_an_error_that_names_the_file_and_the_remedy(encoder, images, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, before[1]))
    try:
        with pytest.raises(StorageError, match=r"pixels-\w+\.npy: cannot be written .*Free disk space"):
            decode(images, images.ids, encoder, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not files(tmp_path, "*.npy") and not files(tmp_path, ".*.tmp")


def test_a_disk_that_cannot_be_read_is_no_broken_picture(encoder, images, tmp_path, monkeypatch):
    def failing(ids):
        raise OSError(errno.EIO, "Input/output error", "part-1.parquet")

    monkeypatch.setattr(images, "read", failing)
    with pytest.raises(StorageError, match=r"part-1\.parquet: cannot be read .Input/output error."):
        decode(images, images.ids, encoder, tmp_path)
    monkeypatch.undo()
    assert not decode(images, images.ids, encoder, tmp_path).unreadable


def test_of_several_that_need_it_at_once_one_decodes(encoder, images, tmp_path):
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: decode(images, images.ids, encoder, tmp_path), range(4)))
    assert images.reads == 3
    assert all(np.array_equal(result.pixels, results[0].pixels) for result in results)


def test_a_broken_picture_in_a_whole_shard_is_counted_and_the_others_are_read(encoder, tmp_path):
    records = [encode_image(i, Image.new("RGB", (9, 9), (200, 0, 0)), 1, {}) for i in ("a1", "a2", "a3")]
    store = ShardStore(tmp_path)
    store.write_part("a", [replace(r, data=r.data[:50]) if r.image_id == "a2" else r for r in records])
    decoded = decode(ImageSet(store, ["a1", "a2", "a3"]), ["a1", "a2", "a3"], encoder)
    assert list(decoded.unreadable) == ["a2"] and "recorded SHA-256" in decoded.unreadable["a2"]
    assert decoded.pixels[:, 0, 0, 0].tolist() == [200, 0, 200]


def test_a_damaged_shard_is_an_error_and_no_missing_images(encoder, tmp_path, monkeypatch):
    store = ShardStore(tmp_path / "store")
    ids = ["a1", "a2", "a3"]
    store.write_part("a", [encode_image(i, Image.new("RGB", (9, 9), (n, 0, 0)), 1, {}) for n, i in enumerate(ids)])
    whole = decode(ImageSet(store, ids), ids, encoder, tmp_path / "whole")
    assert not whole.unreadable and whole.pixels[:, 0, 0, 0].tolist() == [0, 1, 2]
    part = files(store.root, "a/*.parquet")[0]
    content = bytearray(part.read_bytes())
    content[content.index(b"IDAT") + 8] ^= 1
    part.write_bytes(content)
    monkeypatch.setattr(pixels_module, "_READ_AT_ONCE", 1)  # a thread for each image
    with pytest.raises(DamagedShardError, match=rf"{part.name}.*kedro run --pipelines=synthesis"):
        decode(ImageSet(ShardStore(store.root), ids), ids, encoder)
