"""Published benchmarks from files: the questions are the owners', and what cannot be asked is counted by reason."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from kedro.io import DatasetError

from cultureclip.benchmarks.downloads.origins import INCOMPLETE
from cultureclip.benchmarks.protocols.benchmark import Benchmark, Embeddings
from cultureclip.benchmarks.protocols.registry import RENAMED, ProtocolName, all_protocols
from cultureclip.benchmarks.published import AbsentBenchmark
from cultureclip.datasets.benchmark_dataset import BenchmarkDataset
from cultureclip.errors import ConfigurationError
from cultureclip.ids import bytes_digest
from cultureclip.reading.pictures import NOT_A_PICTURE
from tests.benchmarks.conftest import unit
from tests.support.benchmark_files import (
    encode,
    grounding_columns,
    stored,
    write_karpathy,
    write_parquet,
    write_pictures,
    write_webdataset,
)


def dataset(path: Path, protocol: str, form: dict[str, Any], **more: Any) -> BenchmarkDataset:
    fields = {"name": "own", "title": "Own", "source": "https://example.org", "licence": "CC0-1.0"} | more
    return BenchmarkDataset(filepath=str(path), protocol=protocol, format=form, **fields)


def load(path: Path, protocol: str, form: dict[str, Any], **more: Any) -> Benchmark:
    benchmark = dataset(path, protocol, form, **more).load()
    assert isinstance(benchmark, Benchmark)
    return benchmark


def answer(benchmark: Benchmark) -> dict[str, Any]:
    """Predictions from random embeddings, by item."""
    rng = np.random.default_rng(0)
    keys, texts = list(benchmark.images), benchmark.texts
    rows = {key: row for row, key in enumerate(keys)}, {text: row for row, text in enumerate(texts)}
    found = benchmark.answer(Embeddings(unit(rng, len(keys), 8), unit(rng, max(len(texts), 1), 8), *rows))
    assert len({prediction.item_id for prediction in found}) == len(found)
    assert {prediction.part for prediction in found} == {"test"}
    return {prediction.item_id: prediction for prediction in found}


def test_grounding_takes_its_options_from_the_region(tmp_path: Path) -> None:
    regions = ["China"] * 7 + ["Kenya"] * 3
    concepts = ["baozi", "zongzi", "baozi", "pipa", "erhu", "guqin", "", "ugali", "ugali", "kanga"]
    columns = grounding_columns(regions, concepts)
    columns["image"][3] = stored(b"broken")
    benchmark = load(write_parquet(tmp_path, columns), "globalrg_grounding", {"type": "parquet"})
    asked = Counter(p.options[0] for p in answer(benchmark).values() if p.item_id.startswith("accuracy:"))
    named = "The item in the picture is {} in China".format
    assert asked == {named("baozi"): 2, named("zongzi"): 1, named("erhu"): 1, named("guqin"): 1}
    assert benchmark.card()["left_out"] == {NOT_A_PICTURE: 1, "no concept": 1, "region has fewer than four concepts": 3}
    assert benchmark.card()["images"] == 5
    assert not any("pipa" in text for text in benchmark.texts)  # its only picture is broken, as in the released code


def test_retrieval_takes_its_options_from_the_universal(tmp_path: Path) -> None:
    regions = ["Peru", "Iran", "Togo", "Laos", "Fiji", "Peru"]
    columns = {
        "image": [stored(encode(n)) for n in range(8)],
        "universal": ["wedding"] * 6 + ["music", "music"],
        "region": [*regions, "Peru", "Iran"],
    }
    benchmark = load(write_parquet(tmp_path, columns), "globalrg_retrieval", {"type": "parquet"})
    questions = [p for p in answer(benchmark).values() if p.item_id.startswith("accuracy:")]
    named = "The picture depicts a kind of wedding in {}".format
    assert Counter(q.options[0] for q in questions) == Counter(map(named, regions))
    for question in questions:
        assert len(set(question.options)) == 4
        assert set(question.options) <= set(map(named, regions))
    assert benchmark.card()["left_out"] == {"universal has fewer than four regions": 2}


def test_crope_asks_about_every_picture_of_the_rows_that_say_no(tmp_path: Path) -> None:
    columns = {
        "image": [stored(encode(n)) for n in (0, 1, 2, 3)],
        "definition_images": [[stored(encode(10)), stored(b"?")], [], [stored(encode(11))], [stored(encode(12))]],
        "metadata": [
            {"image_en_concept": "sari", "definition_concept": "toga"},
            {"image_en_concept": "sari", "definition_concept": "sari"},
            {"image_en_concept": "lute", "definition_concept": ""},
            {"image_en_concept": "lute", "definition_concept": "oud"},
        ],
        "answer": ["No", "yes", "no", "no"],
    }
    benchmark = load(write_parquet(tmp_path, columns), "crope", {"type": "parquet"})
    asked = {(p.image, p.options) for p in answer(benchmark).values()}
    there = "There is {} in the image.".format
    assert asked == {
        (bytes_digest(encode(0)), (there("sari"), there("toga"))),
        (bytes_digest(encode(10)), (there("toga"), there("sari"))),
        (bytes_digest(encode(3)), (there("lute"), there("oud"))),
        (bytes_digest(encode(12)), (there("oud"), there("lute"))),
    }
    assert benchmark.card()["left_out"] == {
        NOT_A_PICTURE: 1,
        "its answer is not no: the definition is the picture's own": 1,
        "no metadata.definition_concept": 1,
    }


def test_captions_are_searched_for_both_ways(tmp_path: Path) -> None:
    def image(number: int, *captions: str) -> dict[str, Any]:
        raw = [{"raw": caption} for caption in captions]
        return {"filename": f"{number}.jpg", "split": "test", "sentences": raw}

    images = [image(0, "a", "b", "c"), image(1, "d"), image(2), image(3, "e"), {"split": "test"}]
    write_karpathy(tmp_path, images)
    write_pictures(tmp_path, ["0.jpg", "1.jpg", "2.jpg"], "JPEG")
    form = {"type": "karpathy", "annotations": "dataset_coco.json"}
    benchmark = load(tmp_path, "image_text_retrieval", form)
    assert benchmark.texts == ["a", "b", "c", "d"]
    assert benchmark.card()["left_out"] == {"no captions": 1, "picture is missing": 2}
    assert {p.item_id.partition(" ")[0] for p in answer(benchmark).values()} == {"image-to-text", "text-to-image"}


def test_labels_are_numbers_of_classes_or_names(tmp_path: Path) -> None:
    samples: list[dict[str, Any]] = [{"png": encode(n), "cls": n} for n in (0, 1, 2, 7)]
    samples += [{"png": encode(1), "cls": 1}, {"png": encode(5), "cls": b"dog"}, {"cls": 1}, {"png": encode(6)}]
    lines = {"classnames": ["cat", "dog", "cow"], "zeroshot_classification_templates": ["a {c}", "the {c}"]}
    folder = write_webdataset(tmp_path / "w", samples, 100, **lines)
    benchmark = load(folder, "zero_shot", {"type": "webdataset"})
    assert {(p.image, p.category) for p in answer(benchmark).values()} == {
        (bytes_digest(encode(n)), name) for n, name in enumerate(["cat", "dog", "cow"])
    }
    assert benchmark.texts == ["a cat", "the cat", "a dog", "the dog", "a cow", "the cow"]
    card = benchmark.card()
    assert card["chances"] == pytest.approx({"top-1": 1 / 3})
    assert card["left_out"] == {
        "no image": 1,
        "no label": 1,
        "unknown label": 2,
        "the same picture and label were asked about before": 1,
    }


def test_pairs_know_their_subset(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["1.jpg"], "JPEG")
    rows = {
        "0": {"filename": "1.jpg", "caption": "a", "negative_caption": "b"},
        "1": {"filename": "1.jpg", "caption": "a", "negative_caption": "a"},
        "2": {"filename": "1.jpg", "caption": "a"},
        "3": ["no", "object"],
    }
    (tmp_path / "swap_att.json").write_text(json.dumps(rows))
    benchmark = load(tmp_path, "sugarcrepe", {"type": "sugarcrepe"})
    assert [(p.options, p.category) for p in answer(benchmark).values()] == [(("a", "b"), "swap_att")]
    assert sum(benchmark.card()["left_out"].values()) == 3


def test_a_table_of_ones_own_gives_twins_and_probes(tmp_path: Path) -> None:
    names = [f"{n}.png" for n in range(8)]
    write_pictures(tmp_path, names)
    (tmp_path / "t.csv").write_text(
        "image_0,image_1,caption_0,caption_1\n0.png,1.png,x,y\n2.png,2.png,x,y\n3.png,,x,y\n"
    )
    twins = load(tmp_path / "t.csv", "winoground", {"type": "csv"})
    assert {p.item_id.partition(":")[0] for p in answer(twins).values()} == {"text", "image", "group"}
    assert twins.card()["left_out"] == {"no two different captions and images": 1, "picture is missing": 1}

    splits = ["train", "train", "validation", "test"]
    lines = [f"{name},{'ab'[n % 2]},{splits[n // 2]}" for n, name in enumerate(names)]
    (tmp_path / "p.csv").write_text("\n".join(["photo,label,split", *lines, "0.png,a,dev"]))
    (tmp_path / "p.csv").write_text((tmp_path / "p.csv").read_text().replace("photo", "image"))
    probe = load(tmp_path / "p.csv", "linear_probe", {"type": "csv"})
    assert len(answer(probe)) == 2
    assert probe.card()["left_out"] == {"its split is none of train, validation, test": 1}


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    columns = grounding_columns(["China"] * 4, ["a", "b", "c", "d"])
    renamed = {"image": columns["image"], "country": columns["region"], "object": columns["concept"]}
    form = {"type": "parquet"}
    folder = write_parquet(tmp_path, renamed)
    benchmark = load(folder, "globalrg_grounding", form, columns={"region": "country", "concept": "object"})
    assert benchmark.size == 4
    assert load(folder, "globalrg_grounding", form).card()["left_out"] == {"no concept": 4}


def test_columns_of_a_table_of_ones_own_may_have_other_names(tmp_path: Path) -> None:
    write_pictures(tmp_path, [f"{n}.png" for n in range(5)])
    lines = [f"{n}.png,{name},China,north" for n, name in enumerate("abcd")]
    (tmp_path / "own.csv").write_text("\n".join(["photo,concept,country,region", *lines]))
    columns = {"image": "photo", "region": "country"}
    benchmark = load(tmp_path / "own.csv", "globalrg_grounding", {"type": "csv"}, columns=columns)
    assert benchmark.size == 4
    assert {prediction.culture for prediction in answer(benchmark).values()} == {"China"}  # not the file's own region

    (tmp_path / "texts.csv").write_text("image,texts,captions\n0.png,one|two,other\n")
    benchmark = load(tmp_path / "texts.csv", "image_text_retrieval", {"type": "csv"}, columns={"captions": "texts"})
    assert benchmark.texts == ["one", "two"]


def test_a_row_that_does_not_fit_its_table_is_refused_with_its_line(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["0.png", "1.png"])
    (tmp_path / "own.csv").write_text("image,label\n\n0.png,a,\n1.png,b\n")
    with pytest.raises(DatasetError, match=r"own\.csv: 1 problem.*\n  line 3: 3 cells, the header has 2"):
        load(tmp_path / "own.csv", "zero_shot", {"type": "csv"}, templates=["{c}"])
    (tmp_path / "own.csv").write_text("image,label\n\n0.png,a\ngone.png,b\n")
    benchmark = load(tmp_path / "own.csv", "zero_shot", {"type": "csv"}, templates=["{c}"])
    assert benchmark.card()["left_out_items"] == [{"item": "line 4", "reason": "picture is missing"}]


def test_the_hash_is_of_the_data_and_not_of_its_place_or_format(tmp_path: Path) -> None:
    columns = grounding_columns(["China"] * 5, list("abcde"))
    first = load(write_parquet(tmp_path / "1", columns), "globalrg_grounding", {"type": "parquet"})
    write_pictures(tmp_path / "2", [f"{n}.png" for n in range(5)])
    lines = [f"{n}.png,China,{name}" for n, name in enumerate("abcde")]
    (tmp_path / "2/t.csv").write_text("\n".join(["image,region,concept", *reversed(lines)]))
    second = load(tmp_path / "2/t.csv", "globalrg_grounding", {"type": "csv"})
    assert first.card() == second.card()
    columns["image"][0] = stored(encode(9))
    third = load(write_parquet(tmp_path / "3", columns), "globalrg_grounding", {"type": "parquet"})
    assert third.data_hash != first.data_hash


def test_what_is_not_there_is_absent_and_what_holds_nothing_is_empty(tmp_path: Path) -> None:
    form = {"type": "parquet", "files": "data/test-*.parquet"}
    absent = dataset(tmp_path / "gone", "crope", form, revision="v1").load()
    assert isinstance(absent, AbsentBenchmark)
    card = absent.card()
    assert (card["status"], card["items"], card["revision"]) == ("absent", 0, "v1")
    assert card["looked_for"] == str(tmp_path / "gone/data/test-*.parquet")
    assert dataset(tmp_path / "gone", "crope", form).exists()  # a run must not stop for it

    (tmp_path / "own.csv").write_text("image,region,concept\n")
    empty = load(tmp_path / "own.csv", "globalrg_grounding", {"type": "csv"})
    assert (empty.card()["status"], empty.size) == ("empty", 0)
    assert empty.card().keys() <= card.keys()


def test_a_download_that_was_stopped_is_no_benchmark(tmp_path: Path) -> None:
    write_parquet(tmp_path, grounding_columns(["China"], ["a"]))
    (tmp_path / INCOMPLETE).touch()
    with pytest.raises(DatasetError, match=r"stopped half-way.*fetch_benchmarks"):
        dataset(tmp_path, "globalrg_grounding", {"type": "parquet"}).load()


def test_classes_and_templates_are_checked_before_any_model_is_loaded(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["a.png", "b.png"])
    (tmp_path / "own.csv").write_text("image,label\na.png,x\nb.png,y\n")
    with pytest.raises(DatasetError, match="templates: none given"):
        load(tmp_path / "own.csv", "zero_shot", {"type": "csv"})
    with pytest.raises(DatasetError, match=r"has no \{c\}"):
        load(tmp_path / "own.csv", "zero_shot", {"type": "csv"}, templates=["a photo"])
    assert load(tmp_path / "own.csv", "zero_shot", {"type": "csv"}, templates=["a {c}"]).size == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"protocol": "grounding"},
        {"format": {"type": "zip"}},
        {"format": {"type": "csv", "spilt": "test"}},
        {"name": "my benchmark"},
        {"lisence": "MIT"},
    ],
)
def test_a_wrong_entry_is_refused_when_the_catalog_is_read(tmp_path: Path, wrong: dict[str, Any]) -> None:
    fields = {
        "name": "own",
        "title": "Own",
        "source": "s",
        "licence": "l",
        "protocol": "sugarcrepe",
        "format": {"type": "csv"},
    }
    with pytest.raises(Exception, match=r"catalog entry of .*docs/benchmarks\.md"):
        BenchmarkDataset(filepath=str(tmp_path), **(fields | wrong))


def test_a_benchmark_is_never_saved(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="fetch_benchmarks"):
        dataset(tmp_path, "sugarcrepe", {"type": "csv"}).save(1)  # type: ignore[arg-type]


def test_every_protocol_of_the_catalog_can_be_built(tmp_path: Path) -> None:
    protocols = all_protocols()
    assert set(protocols) == set(get_args(ProtocolName))
    for name, protocol in protocols.items():
        assert {*protocol.pictures, *protocol.lists} <= {*protocol.columns}
        (tmp_path / "own.csv").write_text(",".join(protocol.columns) + "\n")
        if name == "linear_probe":  # it needs classes to fit
            with pytest.raises(DatasetError, match="0 classes to fit"):
                load(tmp_path / "own.csv", name, {"type": "csv"})
        elif name == "zero_shot":
            with pytest.raises(DatasetError, match="0 given"):
                load(tmp_path / "own.csv", name, {"type": "csv"})
        else:
            assert load(tmp_path / "own.csv", name, {"type": "csv"}).card()["status"] == "empty"


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_of_a_protocol_is_answered_with_the_new_one(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{old} is called {new}: write protocol: {new}"):
        dataset(tmp_path, old, {"type": "csv"})


def test_the_catalog_is_checked_without_torch_and_without_what_reads_benchmarks() -> None:
    script = """
import sys
from cultureclip.datasets.benchmark_dataset import BenchmarkDataset
fields = {"name": "own", "title": "t", "source": "s", "licence": "l", "format": {"type": "csv"}}
BenchmarkDataset(filepath="x", protocol="zero_shot", **fields)
assert "cultureclip.benchmarks.protocols.zero_shot" not in sys.modules
assert "cultureclip.benchmarks.formats.webdataset" not in sys.modules
BenchmarkDataset(filepath="x", protocol="zero_shot", holds_out="concepts", **fields)
from cultureclip.scoring.metrics import order_metrics
order_metrics(["accuracy"])
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)
