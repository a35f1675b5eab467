"""The pipeline from judgements and people's file to metrics, tables and page."""

import json
import logging

import numpy as np
import pandas as pd
import pytest
import yaml
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import MissingInputError, SourceDataError
from cultureclip.judging.calibration.agreement_table import AGREEMENT
from cultureclip.judging.calibration.diversity import DIVERSITY
from cultureclip.judging.calibration.yields import YIELDS
from cultureclip.judging.rating import CRITERIA
from cultureclip.judging.verdicts import DECISION
from cultureclip.pipeline_registry import register_pipelines
from cultureclip.pipelines.calibration import create_pipeline
from cultureclip.pipelines.parameters import PARAMETERS
from cultureclip.preflight import check_inputs
from tests.judging.conftest import Album, Tables, make_tables, noise_picture
from tests.support.parameters import CONF, change_stage

OUTPUTS = ("calibration.agreement", "calibration_metrics", "judge_audit", "calibration.diversity", "calibration_page")


@pytest.fixture
def rated() -> Tables:
    """Six concepts in three twins, ten images each; features in the captions' checks."""
    names = [f"thing|{k}" for k in range(6)]
    tables = make_tables([(names[k], names[k + 1]) for k in (0, 2, 4)], images_per_side=10)
    tables.concepts["category"] = "Clothing"
    tables.captions["checks"] = json.dumps({"features_shown": ["Red <b>gate</b>"]})
    return tables


def judge_all(tables: Tables) -> pd.DataFrame:
    """Opinions of a judge with ratings and of one without, and the decision."""
    images = tables.requests[["image_id", "caption_id"]]
    level = np.arange(len(images)) % 5 + 1.0
    accepted = np.where(level > 3, "accepted", "rejected")
    reason = np.where(level > 3, None, "low_mean_rating")
    vision = images.assign(judge="vision_language", verdict=accepted, reason=reason, **dict.fromkeys(CRITERIA, level))
    clip = images.assign(judge="clip", verdict="accepted", reason=None)
    return pd.concat([vision, clip, vision.assign(judge=DECISION)], ignore_index=True)


def people_of(judgements: pd.DataFrame, raters: int = 2) -> str:
    lines = ["image_id,rater," + ",".join(CRITERIA)]
    rows = judgements[judgements["judge"] == "vision_language"]
    for place, (image, level) in enumerate(zip(rows["image_id"], rows["consistency"], strict=True)):
        for rater in range(raters):
            lines.append(f"{image},r{rater}," + ",".join([str(int(min(5, level + (place + rater) % 2)))] * 3))
    return "\n".join(lines) + "\n"


def run(tables: Tables, human_ratings: str, judge_path, tmp_path) -> dict[str, object]:
    models = {"judge": {"path": str(judge_path)}, "trainee": {"path": str(judge_path)}}
    small = {
        **{"min_images": 10, "min_concepts": 3, "resamples": 100, "seed": 1},
        **{"target_error": 0.45, "confidence": 0.8, "models": models},
    }
    inputs = {
        "judgements": judge_all(tables),
        "captions": tables.captions,
        "concepts": tables.concepts,
        "images": Album({i: noise_picture(n) for n, i in enumerate(tables.requests["image_id"])}),
        "judgement_store": KeyedStore(tmp_path / "store.sqlite"),
        "params:calibration": PARAMETERS["calibration"].model_validate(small),
        "params:filtering": change_stage("filtering", judge=str(judge_path)),
    }
    text = (CONF / "base/catalog_calibration.yml").read_text(encoding="utf-8")
    entries = yaml.safe_load(text.replace("${globals:data}", str(tmp_path)).replace("${globals:raw}", str(tmp_path)))
    (tmp_path / "human_ratings.csv").write_text(human_ratings, encoding="utf-8")
    catalog = DataCatalog.from_config(entries)
    for name, value in inputs.items():
        catalog[name] = MemoryDataset(value, copy_mode="assign")
    SequentialRunner().run(create_pipeline(), catalog)
    return {name: catalog[name].load() for name in OUTPUTS}


def test_a_whole_calibration(rated, judge_path, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        found = run(rated, people_of(judge_all(rated)), judge_path, tmp_path)
    AGREEMENT.validate(found["calibration.agreement"])
    YIELDS.validate(found["judge_audit"])
    diversity = DIVERSITY.validate(found["calibration.diversity"])
    assert (diversity["images"] == diversity["embedded"]).all()
    metrics = found["calibration_metrics"]
    json.dumps(metrics, allow_nan=False)
    assert set(metrics["judges"]) == {"clip", "vision_language"}
    assert metrics["judges"]["vision_language"]["accept_from"]["score"] is not None
    assert metrics["judges"]["clip"]["without_score"] == 60 and metrics["judges"]["clip"]["good_share"]["power"] == 0
    assert metrics["shared_weights"] == [{"parts": ["judge", "trainee"], "share": 1.0}]
    assert "judge and trainee share 100 % of their weights" in caplog.text
    page = found["calibration_page"]
    assert "**Warning:** judge and trainee share 100% of their weights." in page
    assert "red &lt;b&gt;gate&lt;/b&gt;" in page and r"thing\|" in page and "<b>" not in page


def test_one_rater_and_few_images_leave_nulls_and_a_page(rated, judge_path, tmp_path):
    human_ratings = "".join(people_of(judge_all(rated), raters=1).splitlines(keepends=True)[:4])
    found = run(rated, human_ratings, judge_path, tmp_path)
    assert found["calibration.agreement"]["value"].isna().all()
    assert found["calibration_metrics"]["judges"]["vision_language"]["accept_from"]["score"] is None
    assert "too small: 3 images, 10 are needed" in found["calibration_page"]


def test_a_bad_file_stops_the_run(rated, judge_path, tmp_path):
    with pytest.raises(SourceDataError, match="line 2: no judge was asked about image 'nobody'"):
        run(rated, "image_id,rater," + ",".join(CRITERIA) + "\nnobody,r,1,1,1\n", judge_path, tmp_path)


def test_without_people_the_run_says_which_file_to_put_where(tmp_path):
    catalog = DataCatalog.from_config(
        {"human_ratings": {"type": "text.TextDataset", "filepath": str(tmp_path / "human_ratings.csv")}}
    )
    with pytest.raises(MissingInputError, match=r"human_ratings: there is no such input.*human_ratings\.csv"):
        check_inputs(create_pipeline(), catalog, register_pipelines())
