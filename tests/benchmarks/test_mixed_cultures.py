"""3XCM's associations, CultureMix, and any benchmark with cues: figures against loops, pictures pixel by pixel."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kedro.io import DatasetError
from PIL import Image
from scipy.stats import entropy

from cultureclip.benchmarks.composed import EDGE, inset, stack
from cultureclip.benchmarks.protocols.benchmark import Embeddings
from cultureclip.benchmarks.protocols.items import metric_of
from cultureclip.datasets.benchmark_dataset import BenchmarkDataset
from tests.benchmarks.conftest import unit
from tests.support.benchmark_files import encode, stored, write_pictures


def load(path: Path, protocol: str, form: dict[str, Any], **more: Any) -> Any:
    fields: dict[str, Any] = {"name": "own", "title": "Own", "source": "s", "licence": "l", "format": form}
    return BenchmarkDataset(filepath=str(path), protocol=protocol, **fields, **more).load()


def embed(benchmark: Any, seed: int) -> tuple[Embeddings, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Few distinct vectors, so that many answers tie."""
    rng = np.random.default_rng(seed)
    vectors = unit(rng, 6, 8)
    keys, texts = list(benchmark.images), benchmark.texts
    pictures, words = vectors[rng.integers(0, 6, len(keys))], vectors[rng.integers(0, 6, len(texts))]
    places = {key: i for i, key in enumerate(keys)}, {text: i for i, text in enumerate(texts)}
    return (
        Embeddings(pictures, words, *places),
        dict(zip(keys, pictures, strict=True)),
        dict(zip(texts, words, strict=True)),
    )


def share(cosines: list[float], place: int) -> float:
    rounded = [round(float(cosine), 6) for cosine in cosines]
    best = [i for i, cosine in enumerate(rounded) if cosine == max(rounded)]
    return (place in best) / len(best)


# Associations


def write_associations(folder: Path, cases: list[tuple[int, int, int, int]], native: list[str | None]) -> None:
    from datasets import Dataset, Features, Image, Value

    text = Value("string")
    names = [f"japan-{n}" for n in range(len(native))]
    metadata = {
        "image_id": names,
        "image": [stored(encode(n)) for n in range(len(native))],
        "concept": [f"thing {n}" for n in range(len(native))],
        "concept_in_native": native,
    }
    kinds = {"image_id": text, "image": Image(), "concept": text, "concept_in_native": text}
    (folder / "image_metadata").mkdir(parents=True)
    (folder / "benchmark").mkdir()
    Dataset.from_dict(metadata, features=Features(kinds)).to_parquet(folder / "image_metadata/train-0.parquet")
    columns: dict[str, list[Any]] = {
        "query_index": [case[0] for case in cases],
        "query_image_id": [names[case[0]] for case in cases],
        "query_concept": [f"thing {case[0]}" for case in cases],
        "query_country": ["Japan"] * len(cases),
    }
    for place, kind in enumerate(("semantically_relevant", "culturally_relevant", "non_relevant"), 1):
        columns[f"{kind}_candidate_image_id"] = [f"japan-{case[place]}" for case in cases]
    Dataset.from_dict(columns).to_parquet(folder / "benchmark/train-0.parquet")


@pytest.mark.parametrize("seed", range(3))
def test_the_three_shares_are_those_of_a_loop_and_add_up_to_one(tmp_path: Path, seed: int) -> None:
    cases = [(n, (n + 1) % 8, (n + 3) % 8, (n + 5) % 8) for n in range(8)]
    write_associations(tmp_path, cases, [f"mono {n}" for n in range(8)])
    benchmark = load(tmp_path, "association_bias", {"type": "association_bias"})
    assert benchmark.size == 8
    assert not benchmark.unposed
    embeddings, image, text = embed(benchmark, seed)
    found = benchmark.answer(embeddings)
    assert len({p.item_id for p in found}) == len(found) == 8 * 6
    by_pixels = {benchmark.images[key].tobytes(): key for key in benchmark.images}
    keys = [by_pixels[np.asarray(Image.open(io.BytesIO(encode(n))).convert("RGB")).tobytes()] for n in range(8)]
    for case in cases:
        offered = tuple(keys[n] for n in case[1:])
        for language, written in (("native", f"mono {case[0]}"), ("english", f"thing {case[0]}")):
            expected = [share([image[key] @ text[written] for key in offered], place) for place in range(3)]
            mine = {metric_of(p.item_id): p.correct for p in found if p.options == offered}
            names = [f"{name}, {language}" for name in ("right thing", "own culture", "neither")]
            assert [mine[name] for name in names] == pytest.approx(expected)
            assert sum(mine[name] for name in names) == pytest.approx(1)


def test_associations_that_lack_something_are_counted(tmp_path: Path) -> None:
    cases = [(0, 1, 2, 3), (0, 1, 2, 3), (1, 2, 2, 3), (2, 99, 0, 1), (4, 0, 1, 2), (3, 0, 1, 2)]
    write_associations(tmp_path, cases, ["a", "b", "c", "d", None])
    benchmark = load(tmp_path, "association_bias", {"type": "association_bias"})
    assert benchmark.card()["left_out"] == {
        "no concept_in_native": 1,
        "no semantic": 1,
        "the same concept and pictures were asked about before": 1,
        "two of its pictures are the same": 1,
    }
    assert benchmark.size == 2
    assert benchmark.without({benchmark.items[0].images[2]: "gone"}).size == 1
    (tmp_path / "image_metadata/train-0.parquet").unlink()
    with pytest.raises(DatasetError, match="there are no pictures"):
        load(tmp_path, "association_bias", {"type": "association_bias"})


# Prevalence


@pytest.mark.parametrize("seed", range(3))
def test_prevalence_is_that_of_a_loop_over_all_orders_of_ties(tmp_path: Path, seed: int) -> None:
    write_pictures(tmp_path, [f"{n}.png" for n in range(4)])
    said = {("0", "en"): "a gate|the gate", ("0", "de"): "ein Tor", ("1", "en"): "taxi", ("1", "de"): "taxi"}
    said |= {("2", "de"): "ein Hut", ("3", "sw"): "kofia|a gate"}
    lines = [f"{picture}.png,{language},{texts}" for (picture, language), texts in said.items()]
    (tmp_path / "own.csv").write_text("\n".join(["image,language,captions", *lines, "3.png,en,"]), encoding="utf-8")
    benchmark = load(tmp_path / "own.csv", "prevalence_bias", {"type": "csv"})
    assert benchmark.card()["left_out"] == {"no captions": 1}
    assert benchmark.size == len(said)
    clusters = [item.cluster for item in benchmark.items]
    assert clusters[0] == clusters[3] != clusters[1] != clusters[2], "a gate is said of two pictures"
    embeddings, image, text = embed(benchmark, seed)
    found = benchmark.answer(embeddings)
    assert len({p.item_id for p in found}) == len(found) == len(said) * 5
    pool = {caption: {name for (_, name), texts in said.items() if caption in texts.split("|")} for caption in text}
    for (picture, language), texts in said.items():
        item = benchmark.items[int(picture)]
        mine = {metric_of(p.item_id): p.correct for p in found if (p.image, p.category) == (item.image, language)}
        cosines = {caption: round(float(image[item.image] @ text[caption]), 6) for caption in text}
        own = {caption for (other, _), told in said.items() if other == picture for caption in told.split("|")}
        best = max(cosines[caption] for caption in texts.split("|"))
        rivals = [cosines[caption] for caption in text if caption not in own]
        above, level = sum(rival > best for rival in rivals), sum(rival == best for rival in rivals) + 1
        ranks = range(above + 1, above + level + 1)  # equally likely
        for k in (1, 5, 10):
            assert mine[f"R@{k}"] == pytest.approx(np.mean([rank <= k for rank in ranks]))
        assert mine["MRR"] == pytest.approx(np.mean([1 / rank for rank in ranks]))
        first = [caption for caption in text if cosines[caption] == max(cosines.values())]
        shares = [(language in pool[caption]) / len(pool[caption]) for caption in first]
        assert mine["first place"] == pytest.approx(np.mean(shares))


# CultureMix


@pytest.mark.parametrize("seed", range(3))
def test_every_figure_of_culture_mix_is_that_of_a_loop(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    write_pictures(tmp_path, [f"{n}.png" for n in range(20)])
    rows = []
    for number in range(20):
        dish, other = rng.choice(6, 2, replace=False)
        two, ground = number % 4 in (1, 3), number % 4 > 1
        rows.append(
            {
                "image": f"{number}.png",
                "name": f"dish {dish}",
                "region": f"R{dish % 4}",
                "other_name": f"dish {other}" if two else "",
                "other_region": f"R{other % 4}" if two else "",
                "background_region": f"R{rng.integers(6)}" if ground else "",
                "task": f"{1 + two} dishes{' on a background' * ground}",
            }
        )
    lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    (tmp_path / "own.csv").write_text("\n".join(lines), encoding="utf-8")
    benchmark = load(tmp_path / "own.csv", "culture_mix", {"type": "csv"})
    embeddings, image, text = embed(benchmark, seed)
    found = benchmark.answer(embeddings)
    assert len({p.item_id for p in found}) == len(found)
    countries = sorted({row[c] for row in rows for c in ("region", "other_region", "background_region") if row[c]})
    dishes = sorted({row[c] for row in rows for c in ("name", "other_name") if row[c]})
    asked_moved = 0
    for row, item in zip(rows, benchmark.items, strict=True):
        mine = {metric_of(p.item_id): p for p in found if p.image == item.image}
        for metric, of, answers, form in (
            ("country", "region", countries, "The item in the picture is from {}"),
            ("item", "name", dishes, "The item in the picture is {}"),
        ):
            hidden = row[f"other_{of}"] if row[f"other_{of}"] != row[of] else ""
            offered = [answer for answer in answers if answer != hidden]
            cosines = [float(image[item.image] @ text[form.format(answer)]) for answer in offered]
            assert mine[metric].correct == pytest.approx(share(cosines, offered.index(row[of])))
            assert mine[metric].category == row["task"]
            if metric == "country":
                logits = 100 * np.round(cosines, 6)
                chances = np.exp(logits - logits.max())
                expected = entropy(chances / chances.sum()) / np.log(len(offered))
                assert mine["uncertainty"].correct == pytest.approx(expected, abs=1e-4)
                if row["background_region"] not in ("", row["region"], row["other_region"]):
                    asked_moved += 1
                    place = offered.index(row["background_region"])
                    assert mine["moved to background"].correct == pytest.approx(share(cosines, place))
                else:
                    assert "moved to background" not in mine
    assert asked_moved > 2


# Cues


def test_an_item_on_a_background_pixel_by_pixel() -> None:
    made = np.asarray(inset(Image.new("RGB", (40, 20), "red"), Image.new("RGB", (20, 10), "blue")))
    for y in range(10):
        for x in range(20):
            assert tuple(made[y, x]) == ((0, 0, 255) if 2 <= y < 8 and 4 <= x < 16 else (255, 0, 0))
    assert inset(Image.new("RGB", (9, 9)), Image.new("RGB", (4000, 2))).size == (EDGE, 1)


@pytest.mark.parametrize(("place", "compose"), [("above", stack), ("background", inset)])
def test_any_benchmark_can_have_cues_of_other_regions(tmp_path: Path, place: str, compose: Any) -> None:
    write_pictures(tmp_path / "own", [f"{n}.png" for n in range(8)])
    write_pictures(tmp_path / "cues", [f"c{n}.png" for n in range(3)], "PNG")
    regions = ["Japan", "JP", "Peru", "Nowhere", "", "japan", "Peru", "Japan"]
    rows = [f"{n}.png,label {n % 3},{region}" for n, region in enumerate(regions)]
    (tmp_path / "own/own.csv").write_text("\n".join(["image,label,country", *rows]), encoding="utf-8")
    cues = "cue,region\nc0.png,Japan\nc1.png,Peru\nc2.png,Japanese\n"
    (tmp_path / "cues/cues.csv").write_text(cues, encoding="utf-8")
    form = {"type": "cued", "of": {"type": "csv"}, "cues": str(tmp_path / "cues/cues.csv"), "place": place}
    more: dict[str, Any] = {"columns": {"region": "country"}, "templates": ["{c}"]}
    plain = load(tmp_path / "own/own.csv", "zero_shot", {"type": "csv"}, **more)
    cued = load(tmp_path / "own/own.csv", "zero_shot", form, **more)
    assert (plain.size, cued.size) == (8, 7)
    assert cued.card()["left_out"] == {"no region": 1}
    images = [Image.open(tmp_path / f"own/{n}.png").convert("RGB") for n in range(8)]
    shown = {n: Image.open(tmp_path / f"cues/c{n}.png").convert("RGB") for n in range(3)}
    made = [cued.images[item.image] for item in cued.items]
    drawn = []
    for number, pixels in zip((0, 1, 2, 3, 5, 6, 7), made, strict=True):
        fitting = [n for n, cue in shown.items() if np.array_equal(pixels, compose(cue, images[number]))]
        assert len(fitting) == 1
        drawn += fitting
        own = regions[number]
        assert (drawn[-1] == 1) or own not in ("Japan", "JP", "japan")
        assert (drawn[-1] != 1) or own != "Peru"
    again = load(tmp_path / "own/own.csv", "zero_shot", form, **more)
    assert again.data_hash == cued.data_hash != plain.data_hash
    (tmp_path / "cues/cues.csv").write_text("cue,region\nc0.png,Japan\n", encoding="utf-8")
    few = load(tmp_path / "own/own.csv", "zero_shot", form, **more)
    assert few.card()["left_out"] == {"no cue of another region": 4, "no region": 1}
    with pytest.raises(DatasetError, match="there are no cues"):
        load(tmp_path / "own/own.csv", "zero_shot", form | {"cues": str(tmp_path / "gone.csv")}, **more)
