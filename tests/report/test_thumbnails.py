"""Thumbnails: like their pictures, drawn once for each content, by threads or processes, and not held in memory."""

import base64
import io
import sqlite3
import tracemalloc
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import SourceDataError, StorageError
from cultureclip.report import thumbnails
from cultureclip.report.thumbnails import EDGE, keep_thumbnails, thumbnail


class Noise:
    """Pictures of noise by id, each made from its number; remembers which were read."""

    def __init__(self, numbers: Mapping[str, int], edge: int = 20) -> None:
        self.numbers, self.edge, self.seen = dict(numbers), edge, []

    @property
    def ids(self) -> Sequence[str]:
        return list(self.numbers)

    def read(self, ids: Sequence[str]) -> list[Image.Image]:
        self.seen += ids
        return [self.draw(self.numbers[i]) for i in ids]

    def checksums(self, ids: Sequence[str]) -> list[str]:
        return [str(self.numbers[i]) for i in ids]

    def draw(self, number: int) -> Image.Image:
        pixels = np.random.default_rng(number).integers(0, 256, (self.edge, self.edge, 3), dtype=np.uint8)
        return Image.fromarray(pixels)


class Broken(Noise):
    def read(self, ids: Sequence[str]) -> list[Image.Image]:
        raise SourceDataError(ids[0], "is damaged", "Fetch it again")


@pytest.fixture
def kept(tmp_path: Path) -> KeyedStore:
    return KeyedStore(tmp_path / "thumbnails.sqlite")


def test_thumbnails_are_small_and_like_the_picture() -> None:
    rows, columns = np.mgrid[:400, :300]
    picture = np.stack([rows * 255 // 400, columns * 255 // 300, rows * 0 + 90], axis=-1).astype(np.uint8)
    uri = thumbnail(picture)
    small = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    assert small.size == (EDGE * 3 // 4, EDGE)
    expected = np.asarray(Image.fromarray(picture).resize(small.size, Image.Resampling.BOX)).astype(float)
    assert np.abs(np.asarray(small.convert("RGB")) - expected).mean() < 6
    assert len(uri) < 4500


def test_a_thumbnail_of_16_bits_shows_what_it_shows() -> None:
    deep = np.repeat(np.linspace(0, 65535, 32).astype(np.uint16)[None], 32, axis=0)
    shown = Image.open(io.BytesIO(base64.b64decode(str(thumbnail(Image.fromarray(deep))).partition(",")[2])))
    assert np.abs(np.asarray(shown.convert("L")).astype(int) - (deep >> 8)).max() < 12


def test_each_picture_has_its_own_thumbnail_and_what_is_absent_has_none(kept: KeyedStore) -> None:
    source = Noise({f"{n:02}": n for n in range(30)})
    keys = keep_thumbnails(source, [*source.ids, "absent"], kept)
    found = kept.get(keys.values())
    assert {i: found[key] for i, key in keys.items()} == {
        i: thumbnail(source.draw(n)) for i, n in source.numbers.items()
    }


def test_a_changed_picture_is_drawn_again_and_the_others_are_not(kept: KeyedStore) -> None:
    numbers = {f"{n:02}": n for n in range(30)}
    before = keep_thumbnails(Noise(numbers), numbers, kept)
    same = Noise(numbers)
    assert keep_thumbnails(same, numbers, kept) == before
    assert same.seen == []
    changed = Noise(numbers | {"07": 99})
    after = keep_thumbnails(changed, numbers, kept)
    assert changed.seen == ["07"]
    assert kept.get([after["07"]]) == {after["07"]: thumbnail(changed.draw(99))}
    assert {i for i in numbers if after[i] != before[i]} == {"07"}


def test_equal_pictures_share_a_thumbnail(kept: KeyedStore) -> None:
    source = Noise(dict.fromkeys("abc", 5))
    assert len(set(keep_thumbnails(source, source.ids, kept).values())) == len(kept) == 1


def test_a_damaged_thumbnail_is_not_shown(kept: KeyedStore) -> None:
    source = Noise({f"{n:02}": n for n in range(5)})
    keys = keep_thumbnails(source, source.ids, kept)
    whole = kept.get(keys.values())
    with sqlite3.connect(kept.path) as connection:
        connection.execute("UPDATE answers SET value = replace(value, 'A', 'B') WHERE key = ?", [keys["03"]])
    with pytest.raises(StorageError, match="1 of 5 answers are damaged"):
        kept.get(keys.values())
    source.seen.clear()
    assert keep_thumbnails(source, source.ids, kept) == keys
    assert source.seen == ["03"]
    assert kept.get(keys.values()) == whole


def test_processes_draw_what_threads_draw(kept: KeyedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Noise({f"{n:02}": n for n in range(30)})
    keys = keep_thumbnails(source, source.ids, kept)
    monkeypatch.setattr(thumbnails, "_MANY", 1)
    monkeypatch.setattr(thumbnails, "_PART", 4)
    other = KeyedStore(tmp_path / "processes.sqlite")
    assert keep_thumbnails(source, source.ids, other) == keys
    assert other.get(keys.values()) == kept.get(keys.values())
    with pytest.raises(SourceDataError, match="00: is damaged"):
        keep_thumbnails(Broken(source.numbers), source.ids, KeyedStore(tmp_path / "empty.sqlite"))


def test_pictures_are_not_all_held_in_memory(kept: KeyedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "_AT_ONCE", 2)
    monkeypatch.setattr(thumbnails, "_PART", 4)
    source = Noise({f"{n:03}": n for n in range(100)}, EDGE)
    tracemalloc.start()
    keys = keep_thumbnails(source, source.ids, kept)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < sum(map(len, kept.get(keys.values()).values())) / 4
    assert peak < 100 * EDGE * EDGE * 3 / 4
