"""From rows of others to a tuned and evaluated model; a leak stops the run; out of one project and into another."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from kedro.config import OmegaConfigLoader
from kedro.io import DataCatalog, DatasetError, MemoryDataset
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner
from PIL import Image

from cultureclip.engine.settings import HERE
from cultureclip.errors import ConfigurationError, LeakError, MissingInputError
from cultureclip.exchange.folder import DatasetFolder
from cultureclip.exchange.rows import divide_rows
from cultureclip.images.records import encode_image
from cultureclip.images.store import ImageSet, ShardStore
from cultureclip.pipeline_registry import MODULES
from cultureclip.pipelines.evaluation import create_pipeline as create_evaluation
from cultureclip.pipelines.import_cultwin import create_pipeline as create_import
from cultureclip.pipelines.train import create_pipeline as create_train
from cultureclip.preflight import check_inputs
from tests.clip.trainings import train
from tests.exchange.files import NAMES, picture, write_released
from tests.exchange.test_export import FACTS, NOTHING, all_images, make_concepts, make_rows, settings
from tests.exchange.test_import import bring_in
from tests.support.benchmark_files import encode
from tests.support.parameters import CONF, change_stage
from tests.support.tiny_clip import write_tiny_clip

BENCHMARK = "own"


def open_project(folder: Path, base: Path, pictures: list[bytes]) -> DataCatalog:
    """The project's own catalog below a folder, with rows to import and a benchmark of pictures of one's own."""
    write_released(folder / "raw/cultwin")
    (folder / "raw/own").mkdir(parents=True)
    lines = ["image,caption,negative_caption"]
    for number, data in enumerate(pictures):
        (folder / f"raw/own/{number}.png").write_bytes(data)
        lines.append(f"{number}.png,a thing {number},another thing {number}")
    (folder / "raw/own/own.csv").write_text("\n".join(lines) + "\n")
    entries = OmegaConfigLoader(str(CONF), base_env="base", default_run_env="base")["catalog"]
    text = yaml.safe_dump(entries).replace("filepath: data/01_raw", f"filepath: {folder}/raw")
    entries = yaml.safe_load(text.replace("filepath: data/", f"filepath: {folder}/data/"))
    entries[f"benchmark_{BENCHMARK}"] = {
        "type": "cultureclip.datasets.benchmark_dataset.BenchmarkDataset",
        "filepath": str(folder / "raw/own/own.csv"),
        **{"name": BENCHMARK, "title": "Own", "protocol": "sugarcrepe", "format": {"type": "csv"}},
        **{"source": "here", "licence": "CC0-1.0"},
    }
    catalog = DataCatalog.from_config(entries)
    trainer = {"steps": 2, "batch": 4, "warmup_steps": 1, "eval_every": 1}
    parameters: dict[str, dict[str, Any]] = {
        "import_cultwin": {"dev_share": 0.3},
        "evaluation": {"benchmarks": [BENCHMARK], "general_benchmarks": [], "base_model": str(base), "scales": []},
        "train": {
            "base": str(base),
            "work_dir": str(folder / "work"),
            "objectives": ["cultureclip"],
            "seeds": [1],
            "trainer": trainer,
            "replay": {"batch": 0},
        },
    }
    parameters["evaluation"] |= {"embedding_cache": str(folder / "embeddings"), "resamples": 200}
    for stage, changes in parameters.items():
        catalog[f"params:{stage}"] = MemoryDataset(change_stage(stage, **changes), copy_mode="assign")
    catalog["params:engine"] = MemoryDataset(HERE)
    catalog["run_manifest"] = MemoryDataset({"commit": None})
    return catalog


def test_imported_rows_are_trained_and_evaluated_on_unchanged(tmp_path):
    base = write_tiny_clip(tmp_path / "base")
    catalog = open_project(tmp_path, base, [encode(900), encode(901)])
    SequentialRunner().run(create_import([BENCHMARK]), catalog)
    metrics = catalog["import_metrics"].load()
    assert metrics["kept"] == metrics["twins"] == len(NAMES)
    assert metrics["leak_check"] == {
        **{"training_images": 12, "general_pairs": 0, "training_rows": 6, "held_out_images": 2},
        **{"near_distance": None, "leaks": 0},
    }
    assert set(catalog["imported_rows"].load()["verdict"]) == {"accepted"}
    assert set(catalog["images"].load().ids) == set(all_images(catalog["cultwin"].load()))
    SequentialRunner().run(create_train(["cultureclip"], [1]), catalog)
    assert catalog["checkpoint_cultureclip_s1"].load().card.licence == ["LicenseRef-unknown" + RESTRICTION]
    SequentialRunner().run(create_evaluation(["cultureclip"], [1], [BENCHMARK]), catalog)
    assert {"base", "cultureclip"} <= set(catalog["scores"].load()["model"])
    assert catalog["leak_check"].load()["training_images"] == 12


RESTRICTION = " AND LicenseRef-no-redistribute"


def test_a_held_out_picture_among_the_rows_stops_the_run_before_a_table_is_published(tmp_path):
    catalog = open_project(tmp_path, write_tiny_clip(tmp_path / "base"), [encode(900), picture(2, 1)])
    with pytest.raises(LeakError, match=r"1 leaks: row .* is held out by own"):
        SequentialRunner().run(create_import([BENCHMARK]), catalog)
    for name in ("concepts", "twins", "captions", "images", "cultwin"):
        with pytest.raises(DatasetError):
            catalog[name].load()


def test_rows_that_are_not_there_are_named_before_the_run(tmp_path):
    catalog = open_project(tmp_path, tmp_path, [])
    (tmp_path / "raw/cultwin/rows.parquet").unlink()
    with pytest.raises(MissingInputError, match="twin_rows: there is no such input") as raised:
        check_inputs(create_import([BENCHMARK]), catalog, dict.fromkeys(MODULES, Pipeline([])), {"run_manifest"})
    assert str(tmp_path / "raw/cultwin") in raised.value.remedy


def draw(store: ShardStore, ids: list[str]) -> None:
    for image in ids:
        pixels = np.random.default_rng(int(image[:8], 16)).integers(0, 256, (24, 20, 3), dtype=np.uint8)
        store.write_part(image[:2], [encode_image(image, Image.fromarray(pixels), 4, {})])


def test_out_of_one_project_and_into_another_everything_is_equal(tmp_path):
    rows = make_rows(per_twin=4).sort_values(["twin_id", "row_id"], ignore_index=True)
    ids, store = all_images(rows), ShardStore(tmp_path / "first")
    draw(store, ids)
    images = ImageSet(store, ids)
    leaving, _ = divide_rows(rows, make_concepts(), ids, NOTHING)
    for path, content in DatasetFolder(leaving, images, FACTS, settings()).files():
        (tmp_path / "out" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / path).write_bytes(content)
    written = {"path": tmp_path / "out", "format": {"type": "cultureclip"}}
    tables, metrics = bring_in(written, tmp_path / "second", licence="unread", max_refused_share=0)
    pd.testing.assert_frame_equal(tables.cultwin, rows[list(tables.cultwin.columns)], check_dtype=False)
    again = ImageSet(ShardStore(tmp_path / "second"), ids)
    assert again.checksums() == images.checksums()
    assert metrics["images"]["written_as_png"] == 0
    assert set(tables.concepts["concept_id"]) == set(make_concepts()["concept_id"])
    short = write_tiny_clip(tmp_path / "short", context_length=8)
    with pytest.raises(ConfigurationError, match="longer than the model's context of 8 tokens"):
        train(tables.cultwin, again, short, tmp_path / "cut")
    base = write_tiny_clip(tmp_path / "base", context_length=64)
    logs = [
        train(r, i, base, tmp_path / f"work{n}")[1] for n, (r, i) in enumerate([(rows, images), (tables[3], again)])
    ]
    losses = [[(row["step"], row.get("loss"), row.get("dev_loss")) for row in log] for log in logs]
    assert losses[0] == losses[1]
    assert len(losses[0]) > 2
    keys = [{folder.name for folder in (tmp_path / f"work{n}").iterdir()} for n in (0, 1)]
    assert keys[0] == keys[1], "the training of one project is found in the other"
