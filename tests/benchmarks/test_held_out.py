"""Training data that contains a held-out picture or concept stops the run."""

import dataclasses
import io
from pathlib import Path

import imagehash
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cultureclip.benchmarks import held_out
from cultureclip.benchmarks.held_out import check_held_out
from cultureclip.benchmarks.pictures import FileIn, LazyPictures
from cultureclip.benchmarks.pocket import DECLARATIONS
from cultureclip.benchmarks.protocols.choice import ChoiceBenchmark
from cultureclip.benchmarks.protocols.items import Question, picture_key
from cultureclip.benchmarks.rows import Row, Source, take_in
from cultureclip.errors import LeakError
from cultureclip.pictures.emoji import render

PICTURES = [render(char, "twemoji", 48) for char in ("👘", "🇹🇩", "🌮")]


@pytest.fixture
def benchmark() -> ChoiceBenchmark:
    images = {picture_key(pixels): pixels for pixels in PICTURES}
    questions = tuple(
        Question(item_id=f"accuracy:{i}", image=key, options=("a", "b"), cluster=f"c{i}", part="test")
        for i, key in enumerate(images)
    )
    return ChoiceBenchmark(DECLARATIONS["crope"], images, questions)


ROWS = pd.DataFrame(
    {
        "row_id": ["r1", "r2"],
        "pos_image_id": ["i1", "i2"],
        "neg_image_id": ["i3", "i4"],
        "pos_concept_id": ["c1", "x"],
        "neg_concept_id": ["y", "z"],
        "pos_concept": ["Chad", "x"],
        "neg_concept": ["y", "z"],
    }
)


def training(**replaced: Image.Image) -> list[tuple[str, Image.Image]]:
    rng = np.random.default_rng(0)
    drawn = {f"i{i}": Image.fromarray(rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)) for i in range(1, 5)}
    return list((drawn | replaced).items())


def test_clean_data_passes_with_counts(benchmark: ChoiceBenchmark) -> None:
    found = check_held_out([benchmark], ROWS, training(), near_distance=4)
    assert found == {
        "training_images": 4,
        "general_pairs": 0,
        "training_rows": 2,
        "held_out_images": 3,
        "near_distance": 4,
        "leaks": 0,
    }


def test_an_equal_picture_is_a_leak_named_by_row_and_benchmark(benchmark: ChoiceBenchmark) -> None:
    copied = Image.fromarray(PICTURES[1]).convert("RGBA")
    with pytest.raises(LeakError, match="row r2: image i4 is held out by crope"):
        check_held_out([benchmark], ROWS, training(i4=copied))


def test_a_replayed_general_picture_that_is_held_out_is_a_leak(benchmark: ChoiceBenchmark) -> None:
    replayed = [("p1", Image.fromarray(PICTURES[2]))]
    with pytest.raises(LeakError, match="1 leaks: general pair p1 is held out by crope"):
        check_held_out([benchmark], ROWS, training(), replayed)


def test_a_recompressed_copy_is_a_leak_only_where_near_duplicates_are_sought(benchmark: ChoiceBenchmark) -> None:
    buffer = io.BytesIO()
    Image.fromarray(PICTURES[0]).save(buffer, "JPEG", quality=85)
    copied = Image.open(buffer)
    assert check_held_out([benchmark], ROWS, training(i1=copied))["leaks"] == 0
    with pytest.raises(LeakError, match="row r1: image i1"):
        check_held_out([benchmark], ROWS, training(i1=copied), near_distance=8)


def test_a_flag_of_other_colours_is_no_near_duplicate(benchmark: ChoiceBenchmark) -> None:
    ireland = Image.fromarray(render("🇮🇪", "twemoji", 48))
    assert check_held_out([benchmark], ROWS, training(i1=ireland), near_distance=4)["leaks"] == 0


def test_a_held_out_concept_is_a_leak(benchmark: ChoiceBenchmark) -> None:
    declared = dataclasses.replace(
        benchmark, declaration=dataclasses.replace(benchmark.declaration, holds_out="concepts")
    )
    with pytest.raises(LeakError, match="row r1: concept 'Chad' is held out by crope"):
        check_held_out([declared], ROWS, training())


@pytest.fixture
def photographs(tmp_path: Path, benchmark: ChoiceBenchmark) -> ChoiceBenchmark:
    """The same benchmark with pictures that stay on disk, and one of another size."""
    rows = []
    for number, pixels in enumerate([*PICTURES, np.zeros((30, 40, 3), np.uint8)]):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        rows.append(Row(str(number), {}, {"image": (FileIn(tmp_path, f"{number}.png"),)}))
    return dataclasses.replace(benchmark, images=take_in(Source(rows)).pictures)


def test_pictures_on_disk_are_compared_by_their_pixels(photographs: ChoiceBenchmark) -> None:
    assert check_held_out([photographs], ROWS, training(), near_distance=4)["held_out_images"] == 4
    buffer = io.BytesIO()
    Image.fromarray(PICTURES[1]).save(buffer, "WEBP", lossless=True)  # other bytes, equal pixels
    with pytest.raises(LeakError, match="row r2: image i4 is held out by crope"):
        check_held_out([photographs], ROWS, training(i4=Image.open(buffer)))
    buffer = io.BytesIO()
    Image.fromarray(PICTURES[0]).resize((96, 96)).save(buffer, "JPEG", quality=85)
    larger = training(i1=Image.open(buffer))
    assert check_held_out([photographs], ROWS, larger)["leaks"] == 0
    with pytest.raises(LeakError, match="row r1: image i1"):
        check_held_out([photographs], ROWS, larger, near_distance=8)


def test_photographs_are_not_decoded_to_be_compared(
    photographs: ChoiceBenchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    get = LazyPictures.__getitem__

    def count(self: LazyPictures, key: str) -> np.ndarray:
        decoded.append(get(self, key).shape)
        return get(self, key)

    monkeypatch.setattr(LazyPictures, "__getitem__", count)
    check_held_out([photographs], ROWS, [(i, image.resize((12, 12))) for i, image in training()])
    assert decoded == []
    check_held_out([photographs], ROWS, training())
    assert decoded == []  # their intake found the keys of their pixels


def test_a_training_picture_of_another_size_is_not_hashed(
    benchmark: ChoiceBenchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = []
    monkeypatch.setattr(held_out, "picture_key", lambda pixels: hashed.append(pixels.shape) or picture_key(pixels))
    others = [(i, image.resize((12, 12))) for i, image in training()]
    assert check_held_out([benchmark], ROWS, others)["training_images"] == 4
    assert hashed == []


def test_the_distance_of_near_duplicates_is_counted_in_bits() -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (48, 48, 3), dtype=np.uint8) for _ in range(3)]

    def bits(pixels: np.ndarray) -> np.ndarray:
        picture = Image.fromarray(pixels)
        return np.stack([imagehash.phash(channel).hash for channel in (picture.convert("L"), *picture.split())])

    held = ChoiceBenchmark(DECLARATIONS["crope"], {picture_key(pixels): pixels for pixels in pictures[:2]})
    apart = min(int((bits(pictures[2]) != bits(pixels)).sum(axis=(1, 2)).max()) for pixels in pictures[:2])
    trained = training(i1=Image.fromarray(pictures[2]))[:1]
    assert check_held_out([held], ROWS, trained, near_distance=apart - 1)["leaks"] == 0
    with pytest.raises(LeakError, match="image i1"):
        check_held_out([held], ROWS, trained, near_distance=apart)
