"""Result files: CLIP_benchmark's own CSV builder reads them, and merging never mixes different things."""

import csv
import json
import shutil
import unicodedata
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cultureclip.benchmarks.protocols.linear_probe import LinearProbeBenchmark
from cultureclip.errors import ConfigurationError, SourceDataError
from cultureclip.report.exports.leaderboard import (
    find_results,
    merge_results,
    tabulate_rows,
    to_html,
    to_latex,
)
from cultureclip.report.exports.leaderboard_ranks import rank_rows
from cultureclip.report.exports.results import RunFacts, make_results
from cultureclip.report.markdown import to_markdown
from cultureclip.scoring.ranks import RankedItems, rank_models, say_rank
from cultureclip.scoring.scores import score_all_groups
from tests.scoring.test_scores import HASHES, make_predictions, score

HOSTILE = "<script>alert(1)</script>|_&%"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    predictions = make_predictions()
    tasks = {"crope": "image_caption_selection", "general-retrieval": "zeroshot_retrieval"}
    cards = [{"name": name, "licence": "MIT", "left_out": {"no picture": 2}, "task": tasks[name]} for name in HASHES]
    facts = RunFacts("run-1", "package:base", {}, {"seed": 0}, {"torch": "2"}, "abc")
    results = make_results(score(predictions), score_all_groups(predictions, "clip_both"), predictions, cards, facts)
    for name, content in results.files():
        (folder / name).write_bytes(content)
    return folder


def write(folder: Path, **changes: object) -> Path:
    document = {
        "dataset": "d",
        "model": "m",
        "pretrained": "w",
        "task": "image_caption_selection",
        "metrics": {"acc": 0.5},
        "language": "en",
    } | changes
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{len(list(folder.iterdir()))}.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return file


def table(*files: Path) -> pd.DataFrame:
    return tabulate_rows(merge_results(files), [])


def test_clip_benchmark_builds_its_csv_from_our_files(folder: Path, tmp_path: Path) -> None:
    from clip_benchmark.cli import main_build

    main_build(SimpleNamespace(files=[str(folder)], output=str(tmp_path / "b.csv")))
    with (tmp_path / "b.csv").open(newline="") as handle:
        rows = {(row["dataset"], row["model"]): row for row in csv.DictReader(handle)}
    assert set(rows) == {(d, m) for d in HASHES for m in make_predictions()["model"].unique()} | {
        (d, m) for d in HASHES for m in ("clip_both", "cultureclip")
    }
    expected = score(make_predictions()).set_index(["benchmark", "model", "metric", "part", "reference"])["value"]
    crope = rows["crope", "cultureclip"]
    assert float(crope["acc"]) == expected["crope", "cultureclip", "accuracy", "test", "base"]
    assert crope["model_fullname"] == "cultureclip package:base"
    assert rows["general-retrieval", "base"]["text_retrieval_recall@5"]
    assert rows["general-retrieval", "base"]["task"] == "zeroshot_retrieval"


def test_a_file_says_all_that_is_needed_to_judge_it(folder: Path) -> None:
    found = json.loads((folder / "crope_cultureclip.json").read_text(encoding="utf-8"))
    assert found["n"]["acc"] == 40
    low, high = found["intervals"]["acc"]
    assert low < found["metrics"]["acc"] < high
    assert found["seeds"] == [1, 2, 3]
    assert found["data_hash"] == HASHES["crope"]
    assert found["left_out"] == {"no picture": 2}
    assert (found["run_id"], found["versions"], found["commit"]) == ("run-1", {"torch": "2"}, "abc")
    assert {d["reference"] for d in found["differences"]} == {"base", "clip_both"}
    assert len(pd.read_parquet(folder / "predictions.parquet")) == len(make_predictions())


def test_a_linear_probe_is_not_called_zero_shot() -> None:
    predictions = make_predictions().query("benchmark == 'crope'")
    predictions = predictions.assign(item_id=predictions["item_id"].str.replace("accuracy:", "top-1:"))
    cards = [{"name": "crope", "licence": "MIT", "left_out": {}, "task": LinearProbeBenchmark.task}]
    facts = RunFacts("run-1", "package:base", {}, {}, {}, None)
    groups = score_all_groups(predictions, "clip_both")
    documents = make_results(score(predictions), groups, predictions, cards, facts).documents
    found = documents["crope_base.json"]
    assert found["task"] == "linear_probe"
    assert {"lp_acc1", "lp_mean_per_class_recall"} <= found["metrics"].keys() == found["n"].keys()


def test_the_table_has_a_line_a_model_and_no_line_for_seeds_of_a_mean(folder: Path) -> None:
    found = tabulate_rows(merge_results(find_results([str(folder)])), ["acc"])
    assert set(found.index) == {"base", "clip_both", "cultureclip"}
    assert list(found.columns) == ["crope acc (n = 40)"]


def test_files_of_clip_benchmark_are_read_as_they_are(tmp_path: Path) -> None:
    a = write(tmp_path, dataset="imagenet", metrics={"acc1": 0.633, "acc5": 0.888})
    b = write(tmp_path, dataset="coco", metrics={"image_retrieval_recall@5": 0.559})
    assert table(a, b).loc["m"].to_dict() == {
        "coco image_retrieval_recall@5": "55.9",
        "imagenet acc1": "63.3",
        "imagenet acc5": "88.8",
    }


def test_results_on_other_data_are_never_one_column(tmp_path: Path) -> None:
    files = [
        write(tmp_path / "a", data_hash="a" * 20, run_id="1", n={"acc": 10}),
        write(tmp_path / "b", data_hash="b" * 20, run_id="2", n={"acc": 20}, model="other"),
        write(tmp_path / "c", model="third"),
    ]
    found = table(*files)
    assert list(found.columns) == [
        "d acc (n = 10, data aaaaaaaa)",
        "d acc (n = 20, data bbbbbbbb)",
        "d acc (data unknown)",
    ]
    assert (found != "").sum().to_list() == [1, 1, 1]


def test_another_language_is_another_column(tmp_path: Path) -> None:
    found = table(write(tmp_path), write(tmp_path, language="de", metrics={"acc": 0.4}))
    assert found.loc["m"].to_dict() == {"d acc": "50.0", "d [de] acc": "40.0"}


def test_a_model_of_one_name_in_two_runs_is_one_line_only_where_the_runs_agree(tmp_path: Path) -> None:
    same = [write(tmp_path / r, run_id=r, data_hash="h") for r in ("1", "2")]
    assert list(table(*same).index) == ["m"]
    other = write(tmp_path / "3", run_id="3", data_hash="h", metrics={"acc": 0.6})
    assert list(table(*same, other).index) == ["m (3)", "m (1)"]
    elsewhere = write(tmp_path / "4", run_id="4", data_hash="h", dataset="e")
    assert set(table(same[0], elsewhere).index) == {"m (1)", "m (4)"}


def test_other_weights_under_one_name_are_other_lines(tmp_path: Path) -> None:
    files = write(tmp_path), write(tmp_path, pretrained="v", metrics={"acc": 0.6})
    assert list(table(*files).index) == ["m (v)", "m (w)"]


def test_two_values_in_one_run_are_an_error(tmp_path: Path) -> None:
    files = write(tmp_path), write(tmp_path, metrics={"acc": 0.6})
    with pytest.raises(SourceDataError, match="another value for the same metric"):
        merge_results(files)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"dataset": "d"}', '{"dataset": 1, "model": "", "pretrained": "", "metrics": {}}']
)
def test_what_is_no_result_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(SourceDataError, match=r"x\.json"):
        merge_results(find_results([str(tmp_path)]))


def test_a_pattern_without_results_and_a_metric_that_nobody_has_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no folder with JSON files matches"):
        find_results([str(tmp_path / "*")])
    with pytest.raises(ConfigurationError, match="There are acc"):
        tabulate_rows(merge_results([write(tmp_path)]), ["accc"])


def test_names_stay_text_in_every_format(tmp_path: Path) -> None:
    found = table(write(tmp_path, model=HOSTILE, dataset=HOSTILE))
    html = to_html(found)
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;|_&amp;%") == 2
    header, _, line = to_markdown(found).splitlines()
    assert line.replace(r"\|", "").count("|") == header.replace(r"\|", "").count("|") == 3
    assert r"|\_\&\%" in to_latex(found)


def test_ranks_come_from_the_items_beside_the_results(folder: Path) -> None:
    rows = merge_results(find_results([str(folder)]))
    found = {row.model: rank for row, rank in zip(rows, rank_rows(rows, ["acc"]), strict=True)}
    predictions = make_predictions().query("benchmark == 'crope' and part == 'test'")
    objective = predictions["model"].str.replace(r"_s\d$", "", regex=True)
    credit = predictions.assign(line=objective).pivot_table(index="item_id", columns="line", values="correct")
    clusters = predictions.drop_duplicates("item_id").set_index("item_id")["cluster"].loc[credit.index]
    ones = np.ones(len(credit))
    expected = rank_models(RankedItems(credit.to_numpy(), clusters.to_numpy(str), np.zeros(len(credit)), ones))
    assert found == dict(zip(credit.columns, expected, strict=True))
    shown = tabulate_rows(rows, ["acc"], rank_rows(rows, ["acc"]))
    assert shown.loc["base", "rank"] == say_rank(found["base"]) != ""
    assert "shares none" in to_html(shown)


def test_macro_averages_are_ranked_by_their_own_weights(folder: Path) -> None:
    rows = merge_results(find_results([str(folder)]))
    metric = "accuracy, mean over cultures"
    assert all(rank is not None for rank in rank_rows(rows, [metric]))


def test_a_model_without_items_has_no_rank_and_does_not_count(folder: Path, tmp_path: Path) -> None:
    alone = write(tmp_path, dataset="crope", model="elsewhere", data_hash=HASHES["crope"], metrics={"acc": 0.99})
    rows = merge_results([*find_results([str(folder)]), alone])
    shown = tabulate_rows(rows, ["acc"], rank_rows(rows, ["acc"]))
    assert shown.index[0] == "elsewhere"
    assert shown.loc["elsewhere", "rank"] == ""
    assert shown.loc["base", "rank"].endswith("of 3")
    assert "rank" not in tabulate_rows(merge_results([alone]), [], rank_rows(merge_results([alone]), [])).columns


def test_predictions_of_another_evaluation_rank_nothing(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copied = Path(shutil.copytree(folder, tmp_path / "results"))
    predictions = pd.read_parquet(copied / "predictions.parquet")
    predictions.assign(correct=1 - predictions["correct"]).to_parquet(copied / "predictions.parquet")
    rows = merge_results(find_results([str(copied)]))
    assert rank_rows(rows, ["acc"]) == [None] * 3
    assert "another value" in caplog.text
    (copied / "predictions.parquet").write_bytes(b"PAR1 cut off")
    shutil.copytree(copied, tmp_path / "damaged")
    rows = merge_results(find_results([str(tmp_path / "damaged")]))
    with pytest.raises(SourceDataError, match="cannot be read"):
        rank_rows(rows, ["acc"])


def test_the_pipeline_writes_all_three_formats(folder: Path, tmp_path: Path) -> None:
    import yaml
    from kedro.io import DataCatalog, MemoryDataset
    from kedro.runner import SequentialRunner

    from cultureclip.pipelines.leaderboard import create_pipeline
    from cultureclip.pipelines.leaderboard.parameters import LeaderboardParameters

    text = (Path(__file__).parents[2] / "conf/base/catalog_leaderboard.yml").read_text(encoding="utf-8")
    catalog = DataCatalog.from_config(yaml.safe_load(text.replace("${globals:data}", str(tmp_path))))
    catalog["params:leaderboard"] = MemoryDataset(LeaderboardParameters(results=[str(folder)], metrics=["acc"]))
    SequentialRunner().run(create_pipeline(), catalog)
    assert "cultureclip" in catalog.load("leaderboard_html")
    assert catalog.load("leaderboard_markdown").startswith("| ")
    assert r"\toprule" in catalog.load("leaderboard_latex")


def test_a_name_in_two_unicode_forms_is_one_column(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))
    merged = table(write(tmp_path, dataset=composed), write(tmp_path, dataset=decomposed, model="n"))
    assert list(merged.columns) == [f"{composed} acc"]
    assert len(merged) == 2
