"""The stage as Kedro runs it: real tiny models, the catalog's schemas, one report."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner

from cultureclip.benchmarks.pocket import collect_pocket
from cultureclip.clip.contracts import AdapterCard, Checkpoint
from cultureclip.clip.export.checkpoint import open_checkpoint, save_checkpoint
from cultureclip.clip.lora.adapter import LoraAdapter
from cultureclip.clip.settings import LoraSettings
from cultureclip.engine.settings import HERE
from cultureclip.errors import ConfigurationError, LeakError, MissingInputError
from cultureclip.models.encoder import load_encoder
from cultureclip.pipelines.evaluation import create_pipeline
from cultureclip.pipelines.evaluation.entries import POCKET, read_benchmarks
from cultureclip.pipelines.evaluation.nodes import evaluate_models
from cultureclip.pipelines.evaluation.parameters import EvaluationParameters
from cultureclip.pipelines.measure import create_pipeline as create_measure
from cultureclip.pipelines.reporting import create_pipeline as create_reporting
from cultureclip.pipelines.reporting.parameters import ReportingParameters
from cultureclip.tables import PREDICTIONS, SCORES
from tests.benchmarks.conftest import make_twins
from tests.support.report_data import make_data

LORA = LoraSettings(rank=2)
CONF = Path(__file__).parents[2] / "conf/base"
CATALOGS = ("evaluation", "reporting", "measure", "benchmarks")
INSTANCES = ("clip_both_s1", "cultureclip_s1")


def tune(base: Path, folder: Path, seed: int):
    """A checkpoint with a random update."""
    import torch

    encoder = load_encoder(base)
    adapter = LoraAdapter(encoder.model, LORA, seed)
    generator = torch.Generator().manual_seed(seed)
    state = {name: torch.randn(t.shape, generator=generator) * 0.3 for name, t in adapter.state().items()}
    card = AdapterCard(
        base=str(base),
        base_fingerprint=encoder.fingerprint,
        objective="any",
        seed=seed,
        lora=LORA,
        parameters=adapter.size(),
        step=1,
        selected_by="last",
        training_key="0" * 20,
    )
    save_checkpoint(Checkpoint(state, card, base), folder)
    return open_checkpoint(folder)


@pytest.fixture(scope="module")
def inputs(tiny_model: Callable[[int], Path], tmp_path_factory: pytest.TempPathFactory) -> dict:
    base, folder = tiny_model(0), tmp_path_factory.mktemp("tuned")
    data = make_data()
    images = data.images.ids
    cultwin = data.tables.cultwin.assign(
        row_id="r",
        split="train",
        pos_image_id=images[0],
        neg_image_id=images[-1],
        pos_concept_id="a",
        neg_concept_id="b",
        pos_concept="a",
        neg_concept="b",
    )
    parameters = EvaluationParameters(
        benchmarks=list(POCKET),
        base_model=str(base),
        embedding_cache=str(folder / "cache"),
        image_size=16,
        near_duplicate_bits=None,
        plain_objective="clip_both",
        proposed_objective="cultureclip",
        resamples=200,
        seed=0,
    )
    tables = vars(data.tables) | {"cultwin": cultwin, "images": data.images, "run_manifest": data.run}
    tables["general_pairs"] = pd.DataFrame({"pair_id": ["p"], "picture": ["openmoji:🚲"], "text": ["a bicycle"]})
    checkpoints = {f"checkpoint_{n}": tune(base, folder / n, i) for i, n in enumerate(INSTANCES)}
    logs = {f"training_log_{n}": [{"step": 1, "loss": 1.0}] for n in INSTANCES}
    metrics = {f"{s}_metrics": {} for s in ("mining", "captioning", "synthesis", "filtering", "training")}
    settings = {
        "params:evaluation": parameters,
        "params:engine": HERE,
        "params:reporting": ReportingParameters(gallery_twins=5),
    }
    return tables | checkpoints | logs | metrics | settings


def run(inputs: dict, data: Path, entries: str = "", pipeline: Pipeline | None = None) -> DataCatalog:
    """Run evaluation and reporting, or another pipeline, over the project's own catalog, with data under a folder."""
    texts = [(CONF / f"catalog_{name}.yml").read_text(encoding="utf-8") for name in CATALOGS]
    text = "\n".join([*texts, entries]).replace("${globals:raw}", f"{data}/01_raw")
    text = text.replace("${globals:data}", str(data))
    catalog = DataCatalog.from_config(yaml.safe_load(text))
    for name, value in inputs.items():
        catalog[name] = MemoryDataset(value, copy_mode="assign")
    SequentialRunner().run(pipeline or both(inputs["params:evaluation"].benchmarks), catalog)
    return catalog


def both(benchmarks: list[str]) -> Pipeline:
    """Evaluation and reporting."""
    trainings = ["clip_both", "cultureclip"], [1]
    return create_pipeline(*trainings, benchmarks) + create_reporting(*trainings)


def read_folder(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_stage_gives_valid_tables_a_report_and_the_same_again(inputs: dict, tmp_path: Path) -> None:
    first, second = run(inputs, tmp_path / "1"), run(inputs, tmp_path / "2")
    PREDICTIONS.validate(first.load("predictions"))
    SCORES.validate(first.load("scores"))
    assert set(first.load("predictions")["model"]) == {"base", *INSTANCES}
    assert first.load("leak_check")["training_images"] == 2
    assert first.load("leak_check")["general_pairs"] == 1
    assert "General retrieval" in first.load("report").read_text(encoding="utf-8")
    pd.testing.assert_frame_equal(first.load("scores"), second.load("scores"))
    assert read_folder(first.load("report").parent) == read_folder(second.load("report").parent)


def test_a_report_is_written_again_without_evaluating(inputs: dict, tmp_path: Path) -> None:
    """Of the stages' outputs alone: no benchmark, checkpoint or base model is read."""
    first = run(inputs, tmp_path)
    report = first.load("report").parent
    whole = read_folder(report)
    shutil.rmtree(tmp_path / "08_reporting/report")
    kept = {name: value for name, value in inputs.items() if not name.startswith(("checkpoint_", "params:evaluation"))}
    again = create_reporting(["clip_both", "cultureclip"], [1])
    assert not any(name.startswith(("checkpoint_", "params:evaluation")) for name in again.inputs())
    second = run(kept, tmp_path, pipeline=again.only_nodes_with_tags("reporting"))
    assert read_folder(second.load("report").parent) == whole


def test_a_report_says_which_run_evaluated_not_which_one_wrote_it(inputs: dict, tmp_path: Path) -> None:
    first = run(inputs, tmp_path)
    shutil.rmtree(tmp_path / "08_reporting/report")
    later = inputs | {"run_manifest": inputs["run_manifest"] | {"run_id": "run-8", "status": "running"}}
    run(later, tmp_path, pipeline=create_reporting(["clip_both", "cultureclip"], [1]))
    page = (first.load("report").parent / "run.html").read_text(encoding="utf-8")
    assert "run-7" in page
    assert "run-8" not in page
    assert "running" not in page


def test_an_evaluation_by_another_version_of_the_code_is_named(inputs: dict, tmp_path: Path) -> None:
    run(inputs, tmp_path)
    (file,) = (tmp_path / "07_model_output/evaluation_run.json").rglob("*.json")
    found = json.loads(file.read_text())
    file.write_text(json.dumps(found | {"settings": found["settings"] | {"gone": 1}}))
    with pytest.raises(MissingInputError, match=r"evaluation_run: another version.*--pipelines=evaluation"):
        run(inputs, tmp_path, pipeline=create_reporting(["clip_both", "cultureclip"], [1]))


def test_a_leak_stops_the_stage_before_any_model_answers(inputs: dict, tmp_path: Path) -> None:
    from PIL import Image

    from cultureclip.pictures.emoji import render

    class Leaking:
        ids = inputs["images"].ids

        def read(self, ids: list[str]) -> list[Image.Image]:
            return [Image.fromarray(render("🇲🇱", "twemoji", 16)) for _ in ids]

    with pytest.raises(LeakError, match="row r"):
        run(inputs | {"images": Leaking()}, tmp_path)
    assert not (tmp_path / "07_model_output").exists()


def test_a_base_that_is_not_the_trainings_is_refused(
    inputs: dict, tiny_model: Callable[[int], Path], tmp_path: Path
) -> None:
    other = inputs["params:evaluation"].model_copy(update={"base_model": str(tiny_model(9))})
    with pytest.raises(ConfigurationError, match="was tuned from"):
        run(inputs | {"params:evaluation": other}, tmp_path)


def test_wiring_imports_nothing_heavy() -> None:
    code = (
        "import sys; from cultureclip.pipelines.evaluation import create_pipeline as c; c(['a'], [1]);"
        "assert not {'torch', 'scipy', 'statsmodels', 'jinja2.ext'} & set(sys.modules);"
        "own = {n for n, m in sys.modules.items() if n.startswith('cultureclip.benchmarks.') and m.__file__[-12:] != "
        "'/__init__.py'};"
        "assert own == {'cultureclip.benchmarks.embedding.settings', 'cultureclip.benchmarks.concept_texts'}, own"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def documented(language: str, contains: str) -> str:
    """A block of the benchmarks' page, as a reader would copy it."""
    page = (CONF.parents[1] / "docs/benchmarks.md").read_text(encoding="utf-8")
    return next(b for b in re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL) if contains in b)


def test_a_benchmark_of_ones_own_is_scored_as_the_docs_say_and_an_absent_one_is_reported(
    inputs: dict, tmp_path: Path
) -> None:
    from PIL import Image

    folder = tmp_path / "01_raw/benchmarks/rice-dishes"
    table = documented("csv", "jollof") + "photos/gone.png,jollof rice,Nigeria\nphotos/waakye.png,,Ghana\n"
    (folder / "photos").mkdir(parents=True)
    (folder / "labels.csv").write_text(table, encoding="utf-8")
    for number, name in enumerate(("jollof", "thieb", "waakye")):
        Image.new("RGB", (40, 30), (80 * number, 90, 120)).save(folder / f"photos/{name}.png")
    listed = ["rice-dishes", "published-crope", "general-retrieval"]
    parameters = inputs["params:evaluation"].model_copy(update={"benchmarks": listed})
    pipeline = create_pipeline(["clip_both", "cultureclip"], [1], listed).to_nodes("evaluation.score_models")
    catalog = run(
        inputs | {"params:evaluation": parameters}, tmp_path, documented("yaml", "benchmark_rice-dishes:"), pipeline
    )

    cards = {card["name"]: card for card in catalog.load("benchmark_cards")}
    assert list(cards) == listed
    assert {name: card["status"] for name, card in cards.items()} == {
        "rice-dishes": "ready",
        "published-crope": "absent",
        "general-retrieval": "ready",
    }
    assert cards["published-crope"]["looked_for"].endswith("published-crope/data/test-*.parquet")
    assert cards["rice-dishes"]["left_out"] == {"no label": 1, "picture is missing": 1}
    scores = catalog.load("scores")
    assert set(scores["benchmark"]) == {"rice-dishes", "general-retrieval"}
    assert set(scores.loc[scores["benchmark"] == "rice-dishes", "n"]) == {3}
    assert set(catalog.load("predictions")["culture"]) >= {"Nigeria", "Senegal", "Ghana"}


def test_a_list_that_the_pipeline_was_not_built_for_is_refused(inputs: dict, tmp_path: Path) -> None:
    pipeline = create_pipeline(["clip_both", "cultureclip"], [1], ["sugarcrepe"])
    with pytest.raises(ConfigurationError, match=r"evaluation\.benchmarks.*built for sugarcrepe"):
        run(inputs, tmp_path, pipeline=pipeline)


def write_config(folder: Path, benchmarks: object) -> None:
    (folder / "conf/local").mkdir(parents=True)
    shutil.copytree(CONF, folder / "conf/base")
    (folder / "pyproject.toml").write_text("[tool.kedro]\n")
    (folder / "conf/local/parameters.yml").write_text(yaml.safe_dump({"evaluation": {"benchmarks": benchmarks}}))


@pytest.mark.parametrize(
    ("benchmarks", "message"),
    [
        (["crope", "crope"], "listed twice"),
        ([], "not in"),
        (["sugarcrep"], "Did you mean sugarcrepe"),
        (["xyz"], "There are globalrg-grounding, .*sugarcrepe"),
    ],
)
def test_a_list_that_cannot_be_built_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, benchmarks: list[str], message: str
) -> None:
    write_config(tmp_path, benchmarks)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=message):
        read_benchmarks()


def test_the_list_of_the_config_shapes_the_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_config(tmp_path, ["sugarcrepe", "crope"])
    monkeypatch.chdir(tmp_path)
    pipeline = create_pipeline(["a"], [1])
    assert "benchmark_sugarcrepe" in pipeline.inputs()
    assert {"evaluation.benchmark_crope"} == {name for name in pipeline.all_outputs() if ".benchmark_" in name}
    files_only = create_pipeline(["a"], [1], ["sugarcrepe"])
    assert not any("draw_pocket" in node.name for node in files_only.nodes)


def test_the_pocket_benchmarks_are_the_ones_that_are_made(flags: pd.DataFrame) -> None:
    made = collect_pocket(flags, make_twins(flags, []), 16)
    assert {benchmark.name for benchmark in made} == set(POCKET)


def test_models_are_measured_without_a_training(inputs: dict, tiny_model: Callable, tmp_path: Path) -> None:
    """Any base will do, and any further model: what was tuned here has no part in it."""
    listed = ["crope", "general-retrieval"]
    base, own = str(tiny_model(7)), str(tiny_model(8))
    changes = {"benchmarks": listed, "base_model": base, "models": {"own": own}}
    given = {name: inputs[name] for name in ("concepts", "twins", "run_manifest", "params:engine")}
    given["params:evaluation"] = inputs["params:evaluation"].model_copy(update=changes)
    catalog = run(given, tmp_path, pipeline=create_measure(listed))
    scores = catalog.load("measure.scores")
    assert set(scores["model"]) == {"base", "own"}
    assert set(scores[scores["model"] == "own"]["reference"]) == {"base"}
    assert re.search(r"^\| own +\|", catalog.load("measure.score_table"), re.M)
    results = {p.name: json.loads(p.read_text()) for p in catalog.load("measure.results").parent.glob("*.json")}
    assert {name: result["pretrained"] for name, result in results.items()} == {
        "general-retrieval_base.json": base,
        "general-retrieval_own.json": own,
    }
    assert not catalog.exists("scores")  # those of an evaluation are left alone
    assert not catalog.exists("results")


def test_further_models_answer_too_and_cannot_take_an_objective_s_name(inputs: dict, tiny_model: Callable) -> None:
    (benchmark,) = (b for b in collect_pocket(inputs["concepts"], inputs["twins"], 16) if b.name == "general-retrieval")
    tuned = {name: inputs[f"checkpoint_{name}"] for name in INSTANCES}

    def evaluate(**models: str) -> tuple:
        parameters = inputs["params:evaluation"].model_copy(update={"models": models})
        return evaluate_models([benchmark], [benchmark.card()], parameters, **tuned)

    predictions, cards = evaluate(other=str(tiny_model(9)))
    assert predictions.groupby("model")["item_id"].nunique().to_dict() == dict.fromkeys(
        ("base", "other", *INSTANCES), predictions["item_id"].nunique()
    )
    assert cards == [benchmark.card()]
    with pytest.raises(ConfigurationError, match=r"evaluation\.models\.clip_both"):
        evaluate(clip_both=str(tiny_model(9)))
