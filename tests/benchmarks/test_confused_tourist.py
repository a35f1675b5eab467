"""Stacked cues: how pictures are stacked, and every figure against a loop over items and options."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cultureclip.benchmarks.composed import stack
from cultureclip.benchmarks.pictures import LazyPictures
from cultureclip.benchmarks.protocols.benchmark import Embeddings
from cultureclip.benchmarks.protocols.confused_tourist import ConfusedTouristBenchmark
from cultureclip.benchmarks.protocols.items import metric_of
from cultureclip.datasets.benchmark_dataset import BenchmarkDataset
from cultureclip.ids import bytes_digest
from tests.benchmarks.conftest import unit
from tests.support.benchmark_files import encode, write_pictures

KEYS = {f"{n}.png": bytes_digest(encode(n)) for n in range(30)}
HEADER = "image,cue,name,region,cue_region,category"


def load(folder: Path, rows: list[str]) -> ConfusedTouristBenchmark:
    write_pictures(folder, list(KEYS))
    (folder / "own.csv").write_text("\n".join([HEADER, *rows]), encoding="utf-8")
    fields: dict[str, Any] = {"name": "own", "title": "Own", "source": "s", "licence": "l", "format": {"type": "csv"}}
    benchmark = BenchmarkDataset(filepath=str(folder / "own.csv"), protocol="confused_tourist", **fields).load()
    assert isinstance(benchmark, ConfusedTouristBenchmark)
    return benchmark


def test_a_cue_of_the_same_size_stands_above_the_item_pixel_by_pixel() -> None:
    rng = np.random.default_rng(0)
    cue, item = (rng.integers(0, 256, (6, 9, 3), dtype=np.uint8) for _ in range(2))
    found = np.asarray(stack(Image.fromarray(cue), Image.fromarray(item)))
    assert found.shape == (12, 9, 3)
    for y in range(12):
        for x in range(9):
            assert tuple(found[y, x]) == tuple(cue[y, x] if y < 6 else item[y - 6, x])


@pytest.mark.parametrize(("size", "box"), [((30, 10), (0, 10, 30, 20)), ((10, 30), (10, 0, 20, 30))])
def test_a_cue_of_another_shape_is_fitted_on_white(size: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    found = np.asarray(stack(Image.new("RGB", size, "red"), Image.new("RGB", (30, 30), "blue")))
    left, top, right, bottom = box
    for y in range(60):
        for x in range(30):
            inside = left <= x < right and top <= y < bottom
            expected = (0, 0, 255) if y >= 30 else (255, 0, 0) if inside else (255, 255, 255)
            assert tuple(found[y, x]) == expected


def test_a_huge_item_is_shrunk_and_an_endless_cue_is_not_grown() -> None:
    assert stack(Image.new("RGB", (1, 5000)), Image.new("RGB", (4000, 2000))).size == (1024, 1024)
    assert stack(Image.new("RGB", (5000, 1)), Image.new("RGB", (20, 16))).size == (20, 32)


def test_what_is_stacked_is_read_as_a_picture_of_the_benchmark(tmp_path: Path) -> None:
    benchmark = load(tmp_path, ["0.png,1.png,sushi,Japan,Peru,food"])
    (item,) = benchmark.items
    assert isinstance(benchmark.images, LazyPictures)
    assert set(benchmark.images) == {item.clean, item.cued}
    np.testing.assert_array_equal(
        benchmark.images[item.cued], stack(Image.open(tmp_path / "1.png"), Image.open(tmp_path / "0.png"))
    )
    assert benchmark.images.size_of(item.cued) == (20, 32)


def test_rows_that_cannot_be_asked_are_counted(tmp_path: Path) -> None:
    rows = [
        "0.png,1.png,sushi,Japan,Peru,",
        "0.png,1.png,sushi,Japan,Peru,",
        "0.png,2.png,sushi,Japan,Japan,",
        "3.png,,taco,Mexico,Peru,",
        "gone.png,1.png,taco,Mexico,Peru,",
        "4.png,gone.png,taco,Mexico,Peru,",
        "5.png,1.png,taco,Mexico,,",
        "6.png,1.png,flag,Chad,Romania,",  # the flag of both
        "6.png,1.png,flag,Romania,Peru,",
    ]
    benchmark = load(tmp_path, rows)
    assert benchmark.size == 2
    assert benchmark.card()["left_out"] == {
        "no cue_region": 1,
        "picture is missing": 3,
        "the cue's country is right for the picture": 2,
        "the same item and cue were asked about before": 1,
    }
    assert benchmark.without({KEYS["0.png"]: "gone"}).size == 1
    (tmp_path / "own.csv").write_text("image,name,region,cue_region\n0.png,sushi,Japan,Peru\n", encoding="utf-8")
    fields: dict[str, Any] = {"name": "own", "title": "Own", "source": "s", "licence": "l", "format": {"type": "csv"}}
    bare = BenchmarkDataset(filepath=str(tmp_path / "own.csv"), protocol="confused_tourist", **fields).load()
    assert bare.card()["left_out"] == {"no cue": 1}


@pytest.mark.parametrize("seed", range(4))
def test_every_figure_is_that_of_a_loop(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(30):
        own, other = rng.choice(7, 2, replace=False)
        item = int(rng.integers(12))
        drawn.append((f"{item}.png", f"{20 + rng.integers(5)}.png", f"thing {item % 5}", f"R{own}", f"R{other}"))
    shows = {picture: {region for image, _, _, region, _ in drawn if image == picture} for picture in KEYS}
    drawn = list(dict.fromkeys(row for row in drawn if row[4] not in shows[row[0]]))
    benchmark = load(tmp_path, [",".join((*row, "food")) for row in drawn])
    assert benchmark.size == len(drawn) > 10

    # Few distinct vectors, so that many answers tie.
    vectors = unit(rng, 5, 8)
    keys, texts = list(benchmark.images), benchmark.texts
    pictures, words = vectors[rng.integers(0, 5, len(keys))], vectors[rng.integers(0, 5, len(texts))]
    places = {key: i for i, key in enumerate(keys)}, {text: i for i, text in enumerate(texts)}
    found = benchmark.answer(Embeddings(pictures, words, *places))
    assert len({p.item_id for p in found}) == len(found)

    countries = sorted({row[3] for row in drawn} | {row[4] for row in drawn})
    names = sorted({row[2] for row in drawn})

    def chance(picture: str, template: str, answer: str, offered: list[str]) -> float:
        cosine = {
            o: round(float(pictures[places[0][picture]] @ words[places[1][template.format(o)]]), 6) for o in offered
        }
        best = [option for option in offered if cosine[option] == max(cosine.values())]
        return 1 / len(best) if answer in best else 0.0

    expected: dict[str, list[float]] = {"moved to cue": [], "country cued": [], "item cued": []}
    clean: dict[tuple[str, str, str], tuple[float, float]] = {}
    cued_key = {(i.clean, i.region, i.cue_region, i.name): [] for i in benchmark.items}
    for item in benchmark.items:
        cued_key[item.clean, item.region, item.cue_region, item.name].append(item.cued)
    for image, _, name, region, cue_region in drawn:
        key = KEYS[image]
        cued = cued_key[key, region, cue_region, name].pop(0)
        offered = [c for c in countries if c == region or c not in {r for i, _, _, r, _ in drawn if i == image}]
        things = [n for n in names if n == name or n not in {m for i, _, m, _, _ in drawn if i == image}]
        country, thing = "The item in the picture is from {}", "The item in the picture is {}"
        clean[image, name, region] = chance(key, country, region, offered), chance(key, thing, name, things)
        expected["country cued"].append(chance(cued, country, region, offered))
        expected["item cued"].append(chance(cued, thing, name, things))
        stays = 1 - chance(key, country, cue_region, offered)
        expected["moved to cue"].append(chance(cued, country, cue_region, offered) * stays)
    expected["country clean"], expected["item clean"] = map(list, zip(*clean.values(), strict=True))
    for metric, credits in expected.items():
        assert [p.correct for p in found if metric_of(p.item_id) == metric] == pytest.approx(credits)


def test_a_model_that_reads_the_cue_alone_is_moved_and_one_that_ignores_it_is_not(tmp_path: Path) -> None:
    rows = [f"{n}.png,{10 + n}.png,thing {n},R{n},R{(n + 1) % 5},food" for n in range(5)]
    benchmark = load(tmp_path, rows)
    axes = np.eye(10, dtype=np.float32)
    texts = {text: i for i, text in enumerate(benchmark.texts)}
    region = {f"R{n}": axes[n] for n in range(5)}
    words = np.stack([axes[int(text[-1])] if "from" in text else axes[5 + int(text[-1])] for text in benchmark.texts])
    keys = {key: i for i, key in enumerate(benchmark.images)}

    def means(reads_cue: bool) -> dict[str, float]:
        pictures = np.zeros((len(keys), 10), np.float32)
        for item in benchmark.items:
            pictures[keys[item.clean]] = region[item.region]
            pictures[keys[item.cued]] = region[item.cue_region if reads_cue else item.region]
        found = benchmark.answer(Embeddings(pictures, words, keys, texts))
        metrics = ("country clean", "country cued", "moved to cue")
        return {m: float(np.mean([p.correct for p in found if metric_of(p.item_id) == m])) for m in metrics}

    assert means(reads_cue=True) == {"country clean": 1, "country cued": 0, "moved to cue": 1}
    assert means(reads_cue=False) == {"country clean": 1, "country cued": 1, "moved to cue": 0}
