"""CVQA, BLEnD-Vis and CultureVerse: what their owners' tables become, and every figure against a loop."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kedro.io import DatasetError

from cultureclip.benchmarks.protocols.benchmark import Embeddings
from cultureclip.benchmarks.protocols.cvqa import country_of
from cultureclip.benchmarks.protocols.items import metric_of
from cultureclip.benchmarks.protocols.multiple_choice import Choices, MultipleChoiceBenchmark, read_choices
from cultureclip.benchmarks.rows import Taken
from cultureclip.datasets.benchmark_dataset import BenchmarkDataset
from tests.benchmarks.conftest import unit
from tests.support.benchmark_files import encode, stored, write_pictures


def load(folder: Path, protocol: str, form: dict[str, Any], **more: Any) -> MultipleChoiceBenchmark:
    fields: dict[str, Any] = {"name": "own", "title": "Own", "source": "s", "licence": "l", "format": form}
    benchmark = BenchmarkDataset(filepath=str(folder), protocol=protocol, **fields, **more).load()
    assert isinstance(benchmark, MultipleChoiceBenchmark)
    return benchmark


def write_cvqa(folder: Path, rows: list[dict[str, Any]]) -> None:
    """With the hub's types: a struct per image, lists of texts, an integer label."""
    from datasets import Dataset, Features, Image, List, Value

    text, texts = Value("string"), List(Value("string"))
    kinds = {
        "image": Image(),
        "ID": text,
        "Subset": text,
        "Question": text,
        "Translated Question": text,
        "Options": texts,
        "Translated Options": texts,
        "Label": Value("int64"),
        "Category": text,
    }
    (folder / "data").mkdir(parents=True)
    columns = {name: [row.get(name) for row in rows] for name in kinds}
    Dataset.from_dict(columns, features=Features(kinds)).to_parquet(folder / "data/test-00000-of-00001.parquet")


def cvqa_row(picture: int, number: int, label: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "image": stored(encode(picture)),
        "ID": f"{picture}_{number}",
        "Subset": "('Javanese', 'Indonesia')" if picture % 2 else "('Irish', 'Ireland')",
        "Question": f"apa {number}?",
        "Translated Question": f"what {number}?",
        "Options": [f"satu {number}", "dua", "tiga", "empat"],
        "Translated Options": [f"one {number}", "two", "three", "four"],
        "Label": label,
        "Category": "Food",
    } | more


@pytest.mark.parametrize("seed", range(3))
def test_cvqa_is_a_loop_over_questions_and_options(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [cvqa_row(number // 2, number, int(rng.integers(4))) for number in range(14)]
    write_cvqa(tmp_path, rows)
    benchmark = load(tmp_path, "cvqa", {"type": "parquet"})
    assert benchmark.size == 28
    assert len(benchmark.images) == 7
    assert not benchmark.unposed
    vectors = unit(rng, 6, 8)  # few, so that options tie
    texts, keys = benchmark.texts, list(benchmark.images)
    words, pictures = vectors[rng.integers(0, 6, len(texts))], vectors[rng.integers(0, 6, len(keys))]
    of_text, of_image = dict(zip(texts, words, strict=True)), dict(zip(keys, pictures, strict=True))
    places = {key: i for i, key in enumerate(keys)}, {text: i for i, text in enumerate(texts)}
    found = {p.item_id: p for p in benchmark.answer(Embeddings(pictures, words, *places))}
    assert len(found) == 56
    by_pixels = {np.asarray(benchmark.images[key]).tobytes(): key for key in keys}
    for number, row in enumerate(rows):
        key = by_pixels[np.asarray(load_pixels(number // 2)).tobytes()]
        for metric, before in (("english", "Translated "), ("native", "")):
            question, options = row[f"{before}Question"], row[f"{before}Options"]
            for control, anchor, shown in (
                (False, of_image[key], [f"{question} {option}" for option in options]),
                (True, of_text[question], options),
            ):
                cosines = [round(float(anchor @ of_text[text]), 6) for text in shown]
                best = [place for place, cosine in enumerate(cosines) if cosine == max(cosines)]
                expected = (row["Label"] in best) / len(best)
                name = f"{metric}, no picture" if control else metric
                (mine,) = (
                    p
                    for p in found.values()
                    if metric_of(p.item_id) == name and set(p.options) == set(shown) and p.image in ("", key)
                )
                assert mine.correct == pytest.approx(expected)
                assert (mine.image == "") is control
                assert mine.cluster == key
                assert mine.culture == ("Indonesia" if number // 2 % 2 else "Ireland")
    assert benchmark.chances == dict.fromkeys(("english", "native", "english, no picture", "native, no picture"), 0.25)


def test_a_label_of_cvqa_is_a_number_even_where_answers_are_numbers(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["0.png"])
    header = "image,Question,Translated Question,Options,Translated Options,Label"
    (tmp_path / "own.csv").write_text(f"{header}\n0.png,berapa?,how many?,2|3|1|0,2|3|1|0,1\n", encoding="utf-8")
    benchmark = load(tmp_path / "own.csv", "cvqa", {"type": "csv"})
    assert [q.choices[0] for q in benchmark.questions] == ["3", "3"]


def load_pixels(number: int) -> Any:
    import io

    from PIL import Image

    return Image.open(io.BytesIO(encode(number))).convert("RGB")


def test_rows_of_cvqa_that_cannot_be_asked_are_counted(tmp_path: Path) -> None:
    rows = [
        cvqa_row(0, 0),
        cvqa_row(0, 0),
        cvqa_row(1, 1, label=-1),
        cvqa_row(2, 2, label=4),
        cvqa_row(3, 3, Options=["a", "a", "b", "c"]),
        cvqa_row(4, 4, **{"Translated Question": " "}),
        cvqa_row(5, 5, **{"Translated Options": ["only"]}),
        cvqa_row(6, 6, image=None),
    ]
    write_cvqa(tmp_path, rows)
    benchmark = load(tmp_path, "cvqa", {"type": "parquet"})
    assert benchmark.card()["left_out"] == {
        "its options are not two texts or more": 1,
        "its right answer is none of its options": 4,
        "no image": 1,
        "no question": 1,
        "the same question was asked about before": 2,
        "two options are the same": 1,
    }
    assert benchmark.size == 2 + 1 + 1 + 1
    assert country_of("Kenya") == "Kenya"
    assert country_of("('N\\'Ko', \"Cote d'Ivoire\")") == "Cote d'Ivoire"


@pytest.mark.parametrize(
    ("cell", "right", "expected"),
    [
        (["kimono", "sari"], 1, "sari"),
        (["kimono", "sari"], "B", "sari"),
        (["kimono", "sari"], "sari", "sari"),
        (["kimono", "sari"], 1.0, "sari"),
        (["kimono", "sari"], "1", "sari"),
        (["2", "1"], 1, "1"),
        (["2", "0", "1"], "1", "1"),
        (["kimono", "sari"], 2, None),
        (["kimono", "sari"], True, None),
        (["kimono", "sari"], None, None),
        (["A. kimono", "B. sari"], "a", "kimono"),
        (["(B) kimono", "(A) sari"], "A", "sari"),
        (["B) kimono", "A) sari"], "A", "sari"),
        ('{"A": "kimono", "B": "sari"}', "B", "sari"),
        ('["kimono", "sari"]', 0, "kimono"),
    ],
)
def test_answers_are_read_as_their_owners_write_them(cell: object, right: object, expected: str | None) -> None:
    choices = read_choices(Taken("row 1", {"options": cell}, {}), "options")
    assert isinstance(choices, Choices)
    place = choices.place(right)
    assert (None if place is None else choices.answers[place]) == expected


@pytest.mark.parametrize("cell", [None, [], ["one"], ["one", 2], ["one", " "], "one | two", "{}", 7])
def test_what_is_no_list_of_answers_is_none(cell: object) -> None:
    assert read_choices(Taken("row 1", {"options": cell}, {}), "options") is None


def test_answers_in_columns_of_their_own() -> None:
    choices = read_choices(Taken("row 1", {"options.B": "sari", "options.A": "kimono", "option": "x"}, {}), "options")
    assert choices == Choices(("kimono", "sari"), ("A", "B"))


def test_blend_vis_asks_for_the_region_and_clusters_by_template(tmp_path: Path) -> None:
    write_pictures(tmp_path / "images", [f"{number}.png" for number in range(4)])
    regions = {"A": "Iran", "B": "Mexico", "C": "Algeria", "D": "China"}
    rows = [
        {"ID": "Al-en-1", "prompt": "Where is this the usual snack?", "choices": regions, "key": key, "picture": name}
        for key, name in (("A", "0.png"), ("B", "1.png"), ("E", "2.png"), ("C", None))
    ]
    rows.append({"ID": "Al-en-2", "prompt": "Where is this worn?", "choices": regions, "key": "D", "picture": "3.png"})
    for row in rows:
        row["choices"] = json.dumps(row["choices"])
    (tmp_path / "mcq.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    columns = {"question": "prompt", "options": "choices", "answer": "key", "image": "picture"}
    form = {"type": "json_rows", "files": "mcq.jsonl", "pictures": "images"}
    benchmark = load(tmp_path, "blend_vis", form, columns=columns)
    assert [(q.culture, q.choices[0], q.cluster) for q in benchmark.questions] == [
        ("Iran", "Iran", "Al-en-1"),
        ("Mexico", "Mexico", "Al-en-1"),
        ("China", "China", "Al-en-2"),
    ]
    assert benchmark.questions[0].options == tuple(
        f"Where is this the usual snack? {region}" for region in regions.values()
    )
    assert benchmark.card()["left_out"] == {"its right answer is none of its options": 1, "no image": 1}
    with pytest.raises(DatasetError, match="no column 'prompts'"):
        load(tmp_path, "blend_vis", form, columns=columns | {"question": "prompts"})


def test_cultureverse_asks_names_by_themselves_and_questions_with_their_answers(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["0.png", "1.png"])
    base = {"image": "0.png", "concept": "kimono", "region": "Japan", "category": "Clothing", "answer": "B"}
    rows = [
        base | {"type": "Image Recognition", "question": "What is it?", "options": ["sari", "kimono", "hanbok"]},
        base | {"type": "cultural knowledge", "question": "When is it worn?", "options": ["never", "at weddings"]},
        base | {"type": "scene", "question": "Where?", "options": ["a gym", "a shrine"], "image": "1.png"},
        base | {"type": "other", "question": "Why?", "options": ["so", "or"]},
    ]
    (tmp_path / "test.json").write_text(json.dumps(rows), encoding="utf-8")
    benchmark = load(tmp_path, "cultureverse", {"type": "json_rows"})
    assert [(metric_of(q.item_id), q.options, q.choices, q.culture) for q in benchmark.questions] == [
        ("recognition", ("This is kimono.", "This is sari.", "This is hanbok."), ("kimono", "sari", "hanbok"), "Japan"),
        (
            "knowledge",
            ("When is it worn? at weddings", "When is it worn? never"),
            ("at weddings", "never"),
            "Japan",
        ),
        ("scene", ("Where? a shrine", "Where? a gym"), ("a shrine", "a gym"), "Japan"),
    ]
    assert len({q.cluster for q in benchmark.questions}) == 1
    assert benchmark.card()["left_out"] == {"its type is not one of recognition, knowledge, scene": 1}
    assert benchmark.chances["recognition"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("text", ["{", "[1]", "{}\n3", '[{"image": "0.png"}', "﻿"])
def test_damaged_rows_of_json_are_refused_by_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "test.json").write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=r"test\.json"):
        load(tmp_path, "cultureverse", {"type": "json_rows"})
