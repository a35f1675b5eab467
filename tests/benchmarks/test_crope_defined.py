"""CROPE with definitions: thresholds, AUC and two-way choices against loops, and what is left out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cultureclip.benchmarks.protocols.benchmark import Embeddings
from cultureclip.benchmarks.protocols.crope_defined import CropeDefinedBenchmark
from cultureclip.benchmarks.protocols.items import metric_of
from cultureclip.benchmarks.protocols.thresholds import fit_threshold, placements
from cultureclip.datasets.benchmark_dataset import BenchmarkDataset
from tests.benchmarks.conftest import unit
from tests.support.benchmark_files import encode, stored, write_parquet, write_pictures

FIELDS: dict[str, Any] = {"name": "own", "title": "Own", "source": "s", "licence": "l", "protocol": "crope_defined"}


def load(folder: Path, **more: Any) -> CropeDefinedBenchmark:
    fields = FIELDS | {"format": {"type": "parquet"}} | more
    benchmark = BenchmarkDataset(filepath=str(folder), **fields).load()
    assert isinstance(benchmark, CropeDefinedBenchmark)
    return benchmark


def write(folder: Path, rows: list[tuple[int, str, str, str, str | None, list[int]]]) -> Path:
    columns: dict[str, list[Any]] = {
        "image": [stored(encode(row[0])) for row in rows],
        "metadata": [{"image_en_concept": row[1], "definition_concept": row[2]} for row in rows],
        "answer": [row[3] for row in rows],
        "text": [row[4] for row in rows],
        "definition_images": [[stored(encode(picture)) for picture in row[5]] for row in rows],
    }
    return write_parquet(folder, columns)


ROWS = [
    (number, name if answer == "yes" else f"like {name}", name, answer, f"{name} is a thing", [100 + i, 200 + i])
    for i, name in enumerate(["sari", "kimono", "poncho", "djembe", "taco"])
    for number, answer in ((4 * i, "yes"), (4 * i + 1, "no"), (4 * i + 2, "no"), (4 * i + 3, "yes"))
]


def balanced(scores: np.ndarray, shown: np.ndarray, level: float) -> float:
    return float(((scores > level)[shown].mean() + (scores <= level)[~shown].mean()) / 2)


@pytest.mark.parametrize("seed", range(20))
def test_the_threshold_is_the_lowest_of_the_best(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, shown = rng.integers(0, 6, 15) / 8, rng.random(15) < 0.5
    shown[:2] = True, False
    tried = {level: balanced(scores, shown, level) for level in np.linspace(-1, 1, 401) if level not in scores}
    threshold = fit_threshold(scores, shown)
    assert threshold not in scores
    assert balanced(scores, shown, threshold) == pytest.approx(max(tried.values()))
    first = min(level for level, found in tried.items() if found > max(tried.values()) - 1e-9)
    assert not any(first < score < threshold for score in scores), "a lower one is as good"


@pytest.mark.parametrize("seed", range(20))
def test_credits_of_either_answer_average_to_the_auc(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, shown = rng.integers(0, 6, 15) / 8, rng.random(15) < 0.5
    shown[:2] = True, False
    credits = placements(scores, shown)
    assert credits[shown].mean() == pytest.approx(roc_auc_score(shown, scores))
    assert credits[~shown].mean() == pytest.approx(roc_auc_score(shown, scores))


@pytest.mark.parametrize("seed", range(3))
def test_every_figure_is_that_of_a_loop(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    benchmark = load(write(tmp_path, ROWS), columns={"definition": "text"})
    assert benchmark.size == 20
    assert not benchmark.unposed
    vectors = unit(rng, 9, 8)
    keys, texts = list(benchmark.images), benchmark.texts
    pictures, words = vectors[rng.integers(0, 9, len(keys))], vectors[rng.integers(0, 9, len(texts))]
    image, text = dict(zip(keys, pictures, strict=True)), dict(zip(texts, words, strict=True))
    places = {key: i for i, key in enumerate(keys)}, {written: i for i, written in enumerate(texts)}
    found = {p.item_id: p for p in benchmark.answer(Embeddings(pictures, words, *places))}
    assert len(found) == 4 * (20 + 20 + 10)

    def vector(item: Any, context: str) -> np.ndarray:
        name = text[f"There is {item.concept} in the image."]
        told = text[f"{item.concept}: {item.definition}"]
        shown = np.mean([image[key] for key in item.pictures], axis=0)
        shown = shown / np.linalg.norm(shown)
        both = (told + shown) / np.linalg.norm(told + shown)
        return {"name": name, "text": told, "images": shown, "both": both}[context]

    def mine(metric: str, item: Any) -> Any:
        (one,) = (p for p in found.values() if metric_of(p.item_id) == metric and p.image == item.image)
        return one

    for context in ("name", "text", "images", "both"):
        scored = [(item, round(float(image[item.image] @ vector(item, context)), 6)) for item in benchmark.items]
        for item, score in scored:
            others = [(s, o.shown) for o, s in scored if o.concept != item.concept]
            level = fit_threshold(np.array([s for s, _ in others]), np.array([y for _, y in others]))
            asked = mine(f"yes-no, {context}", item)
            assert asked.correct == (0.5 if score == level else float((score > level) is item.shown))
            assert asked.category == ("yes" if item.shown else "no")
            rivals = [s for o, s in scored if o.shown is not item.shown]
            side = 1 if item.shown else -1
            share = np.mean([float(side * (score - s) > 0) + 0.5 * (score == s) for s in rivals])
            assert mine(f"AUC, {context}", item).correct == pytest.approx(share)
            if item.shown:
                continue
            bank = [image[o.image] for o, _ in scored if o.concept != item.concept]
            fits = []
            for of in (text[f"There is {item.own} in the image."], vector(item, context)):
                cosines = [round(float(b @ of), 6) for b in bank]
                fits.append((round(float(image[item.image] @ of), 6) - np.mean(cosines)) / np.std(cosines))
            tie = abs(fits[0] - fits[1]) < 1e-6
            assert mine(f"two-way, {context}", item).correct == (0.5 if tie else float(fits[0] > fits[1]))


def test_a_collapsed_model_has_one_half_of_everything(tmp_path: Path) -> None:
    benchmark = load(write(tmp_path, ROWS), columns={"definition": "text"})
    one = np.ones((1, 4), np.float32) / 2
    rows = dict.fromkeys(benchmark.images, 0), dict.fromkeys(benchmark.texts, 0)
    found = benchmark.answer(Embeddings(one, one, *rows))
    means = {
        metric: np.mean([p.correct for p in found if metric_of(p.item_id) == metric]) for metric in benchmark.chances
    }
    assert means == pytest.approx(benchmark.chances)


def test_rows_that_cannot_be_asked_are_counted(tmp_path: Path) -> None:
    rows = [
        *ROWS,
        ROWS[0],
        (50, "x", "sari", "perhaps", "t", [100]),
        (51, "x", "", "no", "t", [100]),
        (52, "x", "sari", "no", "t", [100, 52]),
        (53, "x", "sari", "no", None, [100]),
        (54, "x", "sari", "no", "t", []),
    ]
    benchmark = load(write(tmp_path, rows), columns={"definition": "text"})
    assert benchmark.card()["left_out"] == {
        "its answer is neither yes nor no": 1,
        "no metadata.definition_concept": 1,
        "the picture is one of the definition's own": 1,
        "the same picture and concept were asked about before": 1,
    }
    assert benchmark.card()["changed"] == {
        "not asked with images, both: its definition lacks it": 1,
        "not asked with text, both: its definition lacks it": 1,
    }
    assert benchmark.size == 22
    assert benchmark.without({benchmark.items[0].pictures[0]: "gone"}).size == 22 - 4 - 1
    questions = list(benchmark.chat_questions())
    assert len({q.item_id for q in questions}) == len(questions) == 20 * 5 + 2 * 3
    (pictures,) = (q.pictures for q in questions if "both" in q.item_id and q.image == benchmark.items[1].image)
    assert pictures == (*benchmark.items[1].pictures, benchmark.items[1].image)


def test_the_definition_s_text_may_be_missing_and_one_concept_is_not_enough(tmp_path: Path) -> None:
    benchmark = load(write(tmp_path / "a", ROWS))
    assert benchmark.size == 20
    assert {metric_of(q.item_id) for q in benchmark.chat_questions()} == {
        "yes-no, name",
        "yes-no, images",
        "yes-no, no picture",
    }
    few = load(write(tmp_path / "b", ROWS[:4]))
    assert few.size == 0
    assert few.card()["left_out"] == {"fewer than two concepts for an answer: no threshold": 4}


def test_definitions_may_lie_in_a_csv(tmp_path: Path) -> None:
    write_pictures(tmp_path, [f"{n}.png" for n in range(12)])
    header = "image,metadata.image_en_concept,metadata.definition_concept,answer,definition,definition_images"
    rows = [f"{n}.png,a,c{n % 2},{'yes' if n < 2 else 'no'},told,{n + 4}.png|{n + 8}.png" for n in range(4)]
    (tmp_path / "own.csv").write_text("\n".join([header, *rows]), encoding="utf-8")
    benchmark = load(tmp_path / "own.csv", format={"type": "csv"})
    assert [(i.shown, i.cluster != benchmark.items[0].cluster, len(i.pictures)) for i in benchmark.items] == [
        (True, False, 2),
        (True, True, 2),
        (False, False, 2),
        (False, True, 2),
    ]
