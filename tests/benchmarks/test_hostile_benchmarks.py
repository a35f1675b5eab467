"""What owners and users can get wrong: typed, listed, counted, and never taken for something else."""

import inspect
import json
import math
import re
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kedro.io import DatasetError

from cultureclip.benchmarks.downloads.origins import INCOMPLETE
from cultureclip.benchmarks.embedding.settings import EmbeddingSettings
from cultureclip.benchmarks.evaluate import answer_benchmarks
from cultureclip.benchmarks.held_out import check_held_out
from cultureclip.benchmarks.protocols.benchmark import Benchmark, Embeddings
from cultureclip.benchmarks.protocols.items import Prediction
from cultureclip.benchmarks.protocols.registry import ProtocolName, all_protocols, load_protocol
from cultureclip.benchmarks.protocols.zero_shot import Labelled, answer_zero_shot
from cultureclip.datasets.benchmark_dataset import BenchmarkDataset
from cultureclip.errors import ConfigurationError, LeakError, SourceDataError
from cultureclip.ids import concept_id
from cultureclip.pipelines.evaluation.nodes import collect_benchmarks
from cultureclip.pipelines.evaluation.parameters import EvaluationParameters
from cultureclip.scoring.scores import score_predictions
from tests.benchmarks.conftest import unit
from tests.support.benchmark_files import encode, write_karpathy, write_pictures, write_webdataset
from tests.support.predictions import label, scoring

CSV = {"type": "csv"}


def load(path: Path, protocol: str, form: dict[str, Any], name: str = "own", **more: Any) -> Benchmark:
    fields = {"title": "Own", "source": "https://example.org", "licence": "CC0-1.0"} | more
    return BenchmarkDataset(filepath=str(path), name=name, protocol=protocol, format=form, **fields).load()


def load_csv(folder: Path, protocol: str, text: str, **more: Any) -> Benchmark:
    write_pictures(folder, [f"{i}.png" for i in range(4)])
    (folder / "own.csv").write_text(text, encoding="utf-8")
    return load(folder / "own.csv", protocol, CSV, **more)


# Benchmarks


def test_a_twin_given_twice_is_asked_once_and_can_be_scored(tmp_path: Path) -> None:
    row = "0.png,1.png,one,two\n"
    benchmark = load_csv(tmp_path, "winoground", f"image_0,image_1,caption_0,caption_1\n{row}{row}2.png,3.png,a,b\n")
    assert benchmark.card()["left_out_items"] == [
        {"item": "line 3", "reason": "the same pictures and captions were asked about before"}
    ]
    rng = np.random.default_rng(0)
    rows = {key: i for i, key in enumerate(benchmark.images)}, {text: i for i, text in enumerate(benchmark.texts)}
    answers = benchmark.answer(Embeddings(unit(rng, 4, 8), unit(rng, 4, 8), *rows))
    predictions = label(pd.DataFrame([answer.as_row("own", "base") for answer in answers]))
    scores = score_predictions(predictions, {"own": "h"}, scoring())
    assert set(scores["n"]) == {2}


def test_a_broken_picture_of_crope_is_counted_once(tmp_path: Path) -> None:
    names = "image,definition_images,metadata.image_en_concept,metadata.definition_concept,answer"
    benchmark = load_csv(tmp_path, "crope", f"{names}\ngone.png,1.png|2.png,a,b,no\n0.png,,c,d,no\n")
    assert benchmark.card()["left_out"] == {"no definition_images": 1, "picture is missing": 1}
    assert benchmark.size == 3


def test_a_column_of_single_captions_is_not_taken_apart(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["0.png", "1.png"])
    (tmp_path / "data").mkdir()
    images = [{"bytes": encode(i), "path": None} for i in range(2)]
    pd.DataFrame({"image": images, "captions": ["a dog", "a cat"]}).to_parquet(tmp_path / "data/test.parquet")
    assert load(tmp_path, "image_text_retrieval", {"type": "parquet"}).texts == ["a dog", "a cat"]


def test_rows_of_other_types_and_texts_that_are_none_are_left_out(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["0.png", "1.png", "2.png"])
    sentences: list[Any] = [5, [{"raw": "half \ud800"}], [{"raw": "whole"}]]
    rows = [{"split": "test", "filename": f"{i}.png", "sentences": s} for i, s in enumerate(sentences)]
    form = {"type": "karpathy", "annotations": "dataset_coco.json"}
    benchmark = load(write_karpathy(tmp_path, rows), "image_text_retrieval", form)
    assert benchmark.texts == ["whole"]
    assert benchmark.card()["left_out"] == {"a text is not valid Unicode": 1, "no captions": 1}


@pytest.mark.parametrize(("ids", "grades"), [([1, 2], [math.nan, 1]), ([1, 2], [math.inf, 1]), (5, [1, 2]), ([1], 5)])
def test_grades_that_are_none_are_left_out(tmp_path: Path, ids: Any, grades: Any) -> None:
    write_pictures(tmp_path / "images", ["a.png"])
    (tmp_path / "wiki_documents.jsonl").write_text('{"id": "1", "text": "x"}\n{"id": "2", "text": "y"}\n')
    row = {"file_name": "a.png", "enwiki_ids": ids, "culture_relevance": grades}
    (tmp_path / "metadata_test.jsonl").write_text(json.dumps(row))
    card = load(tmp_path, "ravenea", {"type": "ravenea"}).card()
    assert card["left_out"] == {"its documents are not all there with a grade each": 1}


def test_a_label_of_five_thousand_digits_is_unknown(tmp_path: Path) -> None:
    texts = {"classnames": ["a", "b"], "zeroshot_classification_templates": ["{c}"]}
    write_webdataset(tmp_path, [{"png": encode(0), "cls": "9" * 5000}], 10, **texts)
    with tarfile.open(tmp_path / "test/0.tar") as archive:
        assert len(archive.getnames()) == 2
    assert load(tmp_path, "zero_shot", {"type": "webdataset"}).card()["left_out"] == {"unknown label": 1}


def test_annotated_concepts_need_a_name_and_are_named_when_repeated(tmp_path: Path) -> None:
    rows = ["A,x,c,1,0", "A,y,c,1,1", ",z,c,1,0", "B,y,c,0,1", "C,z,c,1,1"]
    (tmp_path / "own.csv").write_text("\n".join(["concept,culture,category,f,g", *rows]))
    benchmark = load(tmp_path / "own.csv", "cunit", {"type": "annotations"})
    assert "" not in benchmark.texts
    listed = {(item["item"], item["reason"]) for item in benchmark.card()["left_out_items"]}
    assert {("A", "its name was annotated before"), ("a c", "a concept has no name")} <= listed


def test_a_folder_in_which_a_download_has_only_begun_is_not_absent(tmp_path: Path) -> None:
    (tmp_path / INCOMPLETE).touch()
    with pytest.raises(DatasetError, match="stopped half-way"):
        load(tmp_path, "zero_shot", {"type": "webdataset"})


def test_an_error_names_the_benchmark(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="benchmark rice: classes: 1 given"):
        load_csv(tmp_path, "zero_shot", "image,label\n0.png,a\n", name="rice", templates=["{c}"])


def test_classes_of_one_name_stay_two_classes() -> None:
    vectors = np.eye(3, dtype=np.float32)
    items = [Labelled(f"i{number}", number) for number in range(3)]
    answers = answer_zero_shot(items, ["missile", "dog", "missile"], vectors, vectors)
    assert [answer.category for answer in answers] == ["missile (class 0)", "dog", "missile (class 2)"]


@pytest.mark.parametrize("more", [{"name": "x" * 100_000}, {"title": "x" * 100_000}])
def test_a_name_of_a_hundred_thousand_characters_is_refused(tmp_path: Path, more: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="at most"):
        load(tmp_path, "sugarcrepe", CSV, **more)


def answers(benchmark: Benchmark) -> list[Prediction]:
    rng = np.random.default_rng(0)
    rows = {key: i for i, key in enumerate(benchmark.images)}, {text: i for i, text in enumerate(benchmark.texts)}
    return benchmark.answer(Embeddings(unit(rng, len(rows[0]), 8), unit(rng, max(len(rows[1]), 1), 8), *rows))


def test_a_concept_is_one_cluster_in_every_benchmark_and_a_line_of_two_files_is_two(tmp_path: Path) -> None:
    grounding = "image,region,concept\n" + "".join(f"{i}.png,R,{name}\n" for i, name in enumerate("abcd"))
    classes = "image,label\n" + "".join(f"{i}.png,{name}\n" for i, name in enumerate("abcd"))
    asked = (
        load_csv(tmp_path, "globalrg_grounding", grounding),
        load_csv(tmp_path, "zero_shot", classes, templates=["{c}"]),
    )
    assert {answer.cluster for answer in answers(asked[0])} == {answer.cluster for answer in answers(asked[1])}
    twins = "image_0,image_1,caption_0,caption_1\n0.png,1.png,one,two\n"
    one, other = (load_csv(tmp_path, "winoground", twins, name=name) for name in ("one", "other"))
    assert [answer.cluster for answer in answers(one) + answers(other)] == ["one: line 2"] * 3 + ["other: line 2"] * 3


@pytest.mark.parametrize(
    ("protocol", "header", "rows"),
    [
        ("image_text_retrieval", "image,captions", ["a|b", "c", "d"]),
        ("zero_shot", "image,label,region", ["a,R", "b,R", "a,S"]),
        ("sugarcrepe", "image,caption,negative_caption,subset", ["a,b,R", "c,d,R", "a,b,S"]),
    ],
)
def test_the_hash_knows_groups_and_not_the_order_of_rows(
    tmp_path: Path, protocol: str, header: str, rows: list[str]
) -> None:
    def hash_of(lines: list[str]) -> str:
        return load_csv(tmp_path, protocol, "\n".join([header, *lines]), templates=["{c}"]).data_hash

    lines = [f"{i}.png,{row}" for i, row in enumerate(rows)]
    assert hash_of(lines) == hash_of(lines[::-1])
    if "S" in rows[-1]:
        assert hash_of(lines) != hash_of([line.replace("S", "T") for line in lines])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path, kind: str) -> None:
    write_pictures(tmp_path, ["0.png"])
    form = {"type": kind}
    if kind == "csv":
        (tmp_path / "own.csv").write_text("image,thing,region\n0.png,a,b\n", encoding="utf-8")
    else:
        image = {"bytes": encode(0), "path": None}
        pd.DataFrame({"image": [image], "thing": ["a"], "region": ["b"]}).to_parquet(tmp_path / "a.parquet")
    path = tmp_path / "own.csv" if kind == "csv" else tmp_path
    cause = "benchmark own: .*no column 'thign', which the entry gives for concept; there are image, region, thing"
    with pytest.raises(DatasetError, match=cause):
        load(path, "globalrg_grounding", form, columns={"concept": "thign"})
    with pytest.raises(ConfigurationError, match="reads no concpt; it reads image, concept, region"):
        load(path, "globalrg_grounding", form, columns={"concpt": "thing"})
    assert load(path, "globalrg_grounding", form, columns={"concept": "thing"}).card()["left_out"]


@pytest.mark.parametrize("name", all_protocols())
def test_every_column_that_a_protocol_reads_may_be_given_another_name(name: ProtocolName) -> None:
    protocol = load_protocol(name)
    reading = re.findall(r"(?:text_of|image|values\.get|complete_rows)\((.*)\)", inspect.getsource(protocol.build))
    named = {column for call in reading for column in re.findall(r'"([\w.]+)"', call)}
    assert named <= {*protocol.columns}
    assert named or name == "crope"  # whose columns of text are listed once


# What is held out


@pytest.mark.parametrize(
    ("protocol", "header", "rows"),
    [
        ("zero_shot", "image,label", ["jollof", "waakye"]),
        ("globalrg_grounding", "image,region,concept", ["Ghana,jollof", "Ghana,b", "Ghana,c", "Ghana,d"]),
        ("linear_probe", "image,split,label", ["train,jollof", "train,jollof", "validation,jollof"]),
    ],
)
def test_a_concept_that_a_file_names_is_held_out_by_its_name(
    tmp_path: Path, protocol: str, header: str, rows: list[str]
) -> None:
    if protocol == "linear_probe":
        rows = [*rows, *(row.replace("jollof", "b") for row in rows)]
    text = "\n".join([header, *(f"{i % 4}.png,{row}" for i, row in enumerate(rows))])
    benchmark = load_csv(tmp_path, protocol, text, holds_out="concepts", templates=["{c}"])
    row = {
        "row_id": "r1",
        "pos_image_id": "i1",
        "neg_image_id": "i2",
        "pos_concept_id": concept_id("jollof", ["GH"], "Cuisine"),
        "neg_concept_id": concept_id("thieb", ["SN"], "Cuisine"),
        "pos_concept": "jollof",
        "neg_concept": "thieb",
    }
    with pytest.raises(LeakError, match="row r1: concept 'jollof' is held out by own"):
        check_held_out([benchmark], pd.DataFrame([row]), [])
    assert check_held_out([benchmark], pd.DataFrame([row | {"pos_concept": "fufu"}]), [])["leaks"] == 0


def test_concepts_cannot_be_held_out_where_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds_out: concepts needs a protocol"):
        load_csv(tmp_path, "image_text_retrieval", "image,captions\n0.png,a\n", holds_out="concepts")


# The config


def parameters(**more: Any) -> EvaluationParameters:
    given = {"benchmarks": ["own"], "base_model": "b", "embedding_cache": "c", "image_size": 16}
    given |= {"near_duplicate_bits": None, "plain_objective": "a", "proposed_objective": "b"}
    return EvaluationParameters(**given | {"resamples": 200, "seed": 0} | more)


def test_two_entries_cannot_share_a_name(tmp_path: Path) -> None:
    benchmark = load_csv(tmp_path, "image_text_retrieval", "image,captions\n0.png,a\n")
    assert collect_benchmarks(parameters(), own=benchmark)[0] == [benchmark]
    with pytest.raises(ConfigurationError, match="benchmark_other: its name is 'own'"):
        collect_benchmarks(parameters(benchmarks=["own", "other"]), own=benchmark, other=benchmark)
    with pytest.raises(ConfigurationError, match=r"general-retreival.*Did you mean general-retrieval"):
        collect_benchmarks(parameters(general_benchmarks=["general-retreival"]), own=benchmark)


@pytest.mark.parametrize("scales", [(0.5, 0.5), (0.501, 0.502), (0.999,)])
def test_scales_that_would_share_a_models_name_are_refused(scales: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="scales: give each once, with two decimals"):
        parameters(scales=scales)


def test_a_models_name_is_one_line() -> None:
    assert parameters(models={"laion": "x"}).models == {"laion": "x"}
    with pytest.raises(ValueError, match="letters, digits"):
        parameters(models={"laion\n": "x"})


def test_nothing_to_ask_is_an_error(tmp_path: Path) -> None:
    benchmark = load_csv(tmp_path, "image_text_retrieval", "image,captions\ngone.png,a\n")
    with pytest.raises(SourceDataError, match="nothing can be asked"):
        answer_benchmarks({}, [benchmark], tmp_path, EmbeddingSettings())


def test_pictures_that_cannot_be_read_are_not_tried_again_nor_counted(tmp_path: Path) -> None:
    benchmark = load_csv(tmp_path, "image_text_retrieval", "image,captions\n0.png,a\n1.png,b\n")
    lost, kept = benchmark.images
    asked = benchmark.without({lost: "it is gone"})
    assert list(asked.images) == [kept]
    assert lost not in asked.images
    assert asked.images[kept].shape == (16, 20, 3)
    assert asked.card()["images"] == 1
