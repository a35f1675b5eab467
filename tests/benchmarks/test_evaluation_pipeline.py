"""The stage as Kedro runs it: real tiny models, the catalog's schemas, one report."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from cultureclip.clip.contracts import AdapterCard, Checkpoint
from cultureclip.clip.export import open_checkpoint, save_checkpoint
from cultureclip.clip.lora import LoraAdapter
from cultureclip.clip.settings import LoraSettings
from cultureclip.errors import ConfigurationError, LeakError
from cultureclip.models.encoder import load_encoder
from cultureclip.pipelines.evaluation import create_pipeline
from cultureclip.pipelines.evaluation.parameters import EvaluationParameters
from cultureclip.tables import PREDICTIONS, SCORES
from tests.benchmarks.test_report import make_data

LORA = LoraSettings(rank=2)
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
        pos_image_id=images[0],
        neg_image_id=images[-1],
        pos_concept_id="a",
        neg_concept_id="b",
        pos_concept="a",
        neg_concept="b",
    )
    parameters = EvaluationParameters(
        base_model=str(base),
        embedding_cache=str(folder / "cache"),
        image_size=16,
        near_duplicate_bits=None,
        plain_objective="clip_both",
        proposed_objective="cultureclip",
        resamples=200,
        seed=0,
        gallery_twins=5,
    )
    tables = vars(data.tables) | {"cultwin": cultwin, "images": data.images, "run_manifest": data.manifest}
    tables["general_pairs"] = pd.DataFrame({"pair_id": ["p"], "picture": ["openmoji:🚲"], "text": ["a bicycle"]})
    checkpoints = {f"checkpoint_{n}": tune(base, folder / n, i) for i, n in enumerate(INSTANCES)}
    logs = {f"training_log_{n}": [{"step": 1, "loss": 1.0}] for n in INSTANCES}
    metrics = {f"{s}_metrics": {} for s in ("mining", "captioning", "synthesis", "filtering", "training")}
    return tables | checkpoints | logs | metrics | {"params:evaluation": parameters}


def run(inputs: dict, data: Path) -> DataCatalog:
    """Run the stage over the project's own catalog file, with all data under a folder."""
    text = (Path(__file__).parents[2] / "conf/base/catalog_evaluation.yml").read_text(encoding="utf-8")
    catalog = DataCatalog.from_config(yaml.safe_load(text.replace("${globals:data}", str(data))))
    for name, value in inputs.items():
        catalog[name] = MemoryDataset(value, copy_mode="assign")
    SequentialRunner().run(create_pipeline(["clip_both", "cultureclip"], [1]), catalog)
    return catalog


def test_the_stage_gives_valid_tables_a_report_and_the_same_again(inputs: dict, tmp_path: Path) -> None:
    first, second = run(inputs, tmp_path / "1"), run(inputs, tmp_path / "2")
    PREDICTIONS.validate(first.load("predictions"))
    SCORES.validate(first.load("scores"))
    assert set(first.load("predictions")["model"]) == {"base", *INSTANCES}
    assert first.load("leak_check")["training_images"] == 2
    assert first.load("leak_check")["general_pairs"] == 1
    assert "General retrieval" in first.load("report")
    pd.testing.assert_frame_equal(first.load("scores"), second.load("scores"))
    assert first.load("report") == second.load("report")


def test_a_leak_stops_the_stage_before_any_model_answers(inputs: dict, tmp_path: Path) -> None:
    from PIL import Image

    from cultureclip.concepts.emoji import render

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
        "assert not {'torch', 'scipy', 'statsmodels', 'jinja2.ext', 'cultureclip.benchmarks'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
