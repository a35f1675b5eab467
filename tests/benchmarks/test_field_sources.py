"""RAVENEA's folder and a CUNIT-style file, from disk to predictions."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kedro.io import DatasetError

from cultureclip.benchmarks.protocols.benchmark import Embeddings
from cultureclip.benchmarks.protocols.items import metric_of
from cultureclip.datasets.benchmark_dataset import BenchmarkDataset
from tests.support.benchmark_files import encode


def load(path: Path, protocol: str, form: dict[str, Any]) -> Any:
    fields = {"name": "own", "title": "Own", "source": "https://example.org", "licence": "CC0-1.0"}
    return BenchmarkDataset(filepath=str(path), protocol=protocol, format=form, **fields).load()


def write_ravenea(folder: Path) -> None:
    (folder / "images").mkdir(parents=True)
    for i in range(3):
        (folder / "images" / f"{i}.png").write_bytes(encode(i))
    (folder / "images" / "3.png").write_bytes(b"broken")
    documents = [{"id": f"d{i}", "text": f"# Heading\nText {i}.\n## Other\nMore."} for i in range(4)]
    (folder / "wiki_documents.jsonl").write_text("\n".join(map(json.dumps, documents)), "utf-8")
    rows = [
        {
            "file_name": "./ravenea/images/0.png",
            "country": "Korea",
            "enwiki_ids": ["d0", "d1", "d2"],
            "culture_relevance": [3, -3, 0],
        },
        {
            "file_name": "./ravenea/images/1.png",
            "country": "India",
            "enwiki_ids": ["d1", "gone"],
            "culture_relevance": [1, 2],
        },
        {"file_name": "./ravenea/images/2.png", "country": "India", "enwiki_ids": ["d1"], "culture_relevance": [1]},
        {
            "file_name": "./ravenea/images/3.png",
            "country": "India",
            "enwiki_ids": ["d1", "d2"],
            "culture_relevance": [1, 2],
        },
    ]
    (folder / "metadata_test.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", "utf-8")


def test_ravenea_is_read_from_its_folder(tmp_path: Path) -> None:
    write_ravenea(tmp_path)
    benchmark = load(tmp_path, "ravenea", {"type": "ravenea"})
    assert sorted(benchmark.card()["left_out"].values()) == [1, 1, 1]
    assert benchmark.card()["left_out"]["fewer than two documents"] == 1
    assert benchmark.card()["left_out"]["its documents are not all there with a grade each"] == 1
    assert [text.split() for text in benchmark.texts] == [["Text", f"{i}.", "More."] for i in range(3)]
    (item,) = benchmark.items
    assert item.culture == "Korea"
    # Cosines 0, 1, 0.6: the order is d1, d2, d0, of grades -3, 0, 3 and gains 0, 7, 63.
    texts = np.array([[0.0, 1.0], [1.0, 0.0], [0.6, 0.8]])
    rows = {text: i for i, text in enumerate(benchmark.texts)}
    answers = benchmark.answer(Embeddings(np.array([[1.0, 0.0]]), texts, {item.image: 0}, rows))
    by_metric = {metric_of(a.item_id): a for a in answers}
    assert by_metric["nDCG@3"].options == ("d1", "d2", "d0")
    assert by_metric["nDCG@3"].correct == pytest.approx((7 / np.log2(3) + 63 / 2) / (63 + 7 / np.log2(3)))
    assert by_metric["P@3"].correct == pytest.approx(1 / 3)
    assert by_metric["ERR@5"].correct == pytest.approx(7 / 8 / 3)


def test_ravenea_lies_in_the_folder_of_its_archive(tmp_path: Path) -> None:
    write_ravenea(tmp_path / "ravenea")
    inside = load(tmp_path, "ravenea", {"type": "ravenea", "folder": "ravenea"})
    assert inside.card()["data_hash"] == load(tmp_path / "ravenea", "ravenea", {"type": "ravenea"}).card()["data_hash"]
    assert inside.card()["items"] == 1


def test_damaged_files_of_ravenea_are_refused_by_name(tmp_path: Path) -> None:
    write_ravenea(tmp_path)
    (tmp_path / "wiki_documents.jsonl").write_text("[1]\n", "utf-8")
    with pytest.raises(DatasetError, match=r"wiki_documents\.jsonl, line 1: not a JSON object, but a list"):
        load(tmp_path, "ravenea", {"type": "ravenea"})
    (tmp_path / "wiki_documents.jsonl").unlink()
    with pytest.raises(DatasetError, match=r"wiki_documents\.jsonl: cannot be read as JSON lines"):
        load(tmp_path, "ravenea", {"type": "ravenea"})
    absent = load(tmp_path, "ravenea", {"type": "ravenea", "split": "val"}).card()
    assert absent["status"] == "absent"


def test_annotated_concepts_are_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "features.csv"
    path.write_text(
        "concept,culture,category,bride,luck,feast\nveil,US,Clothing,1,0,0\nhonggaitou,CN,Clothing,1,1,0\n"
        "hanbok,KR,Clothing,0,0,1\nkimchi,KR,Cuisine,0,0,1\n",
        "utf-8",
    )
    benchmark = load(path, "cunit", {"type": "annotations"})
    card = benchmark.card()
    assert (card["items"], card["images"], card["texts"], card["chances"]) == (2, 0, 3, {"accuracy": 0.5})
    assert card["left_out"] == {
        "both are equally close": 1,
        "fewer than two concepts of its category and other cultures": 1,
    }


def test_a_protocol_over_a_format_that_lacks_its_columns_is_empty_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode(0))
    (tmp_path / "own.csv").write_text("image,documents,annotated\na.png,x,y\n", "utf-8")
    ranked = load(tmp_path / "own.csv", "ravenea", {"type": "csv"}).card()
    assert ranked["left_out"] == {"its documents are not all there with a grade each": 1}
    assert load(tmp_path / "own.csv", "cunit", {"type": "csv"}).card()["left_out"] == {"no annotated": 1}


def test_a_separator_inside_a_document_of_ravenea_does_not_end_its_line(tmp_path: Path) -> None:
    write_ravenea(tmp_path)
    documents = [{"id": f"caf\u00e9{i}", "text": f"One\u2028two {i}."} for i in range(2)]
    lines = "\n".join(json.dumps(document, ensure_ascii=False) for document in documents)
    (tmp_path / "wiki_documents.jsonl").write_text(lines, "utf-8")
    row = {"file_name": "0.png", "enwiki_ids": [f"cafe\u0301{i}" for i in range(2)], "culture_relevance": [3, 0]}
    (tmp_path / "metadata_test.jsonl").write_text(json.dumps(row), "utf-8")
    benchmark = load(tmp_path, "ravenea", {"type": "ravenea"})
    assert benchmark.card()["left_out"] == {}
    assert sorted(benchmark.texts) == ["One\u2028two 0.", "One\u2028two 1."]


def test_a_line_that_is_not_json_is_named(tmp_path: Path) -> None:
    write_ravenea(tmp_path)
    (tmp_path / "metadata_test.jsonl").write_text('{"file_name": "0.png"}\n\n' + "[" * 100_000, "utf-8")
    with pytest.raises(DatasetError, match=r"metadata_test\.jsonl, line 3: .*nested too deeply"):
        load(tmp_path, "ravenea", {"type": "ravenea"})
