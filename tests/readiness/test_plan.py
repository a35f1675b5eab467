"""How many items stages have, by the tables that are there."""

from pathlib import Path

import pandas as pd
import pytest

from cultureclip.readiness.finding import Survey
from cultureclip.readiness.plan import count_images, plan_stages
from cultureclip.readiness.settings import PreflightSettings
from tests.support.parameters import change_stage

STAGES = {name: change_stage(name) for name in ("mining", "captioning", "synthesis", "filtering", "train", "engine")}
NOTHING_STATED = PreflightSettings()


def save(folder: Path, name: str, **columns: list[str]) -> dict[str, Path]:
    pd.DataFrame(columns).to_parquet(folder / name)
    return {name: folder / name}


@pytest.fixture
def twins(tmp_path: Path) -> dict[str, Path]:
    """Two accepted twins that share a concept: four sides, three concepts."""
    verdicts = ["accepted", "accepted", "rejected"]
    return save(tmp_path, "twins", verdict=verdicts, a_concept_id=["a", "a", "c"], b_concept_id=["b", "c", "d"])


@pytest.fixture
def captions(tmp_path: Path) -> dict[str, Path]:
    """Three accepted captions, two of them one text of a concept in two twins."""
    verdicts = ["accepted", "accepted", "accepted", "rejected"]
    ids, concepts, texts = ["1", "2", "3", "4"], ["a", "a", "b", "b"], ["A.", "A.", "B.", "X"]
    return save(tmp_path, "captions", verdict=verdicts, caption_id=ids, concept_id=concepts, text=texts)


def items(files: dict[str, Path], settings: PreflightSettings = NOTHING_STATED) -> dict[str, tuple[int | None, bool]]:
    works = plan_stages(Survey(None, STAGES, files=files), settings)
    return {work.stage: (work.items, work.at_most) for work in works}


def test_each_side_of_a_twin_has_images_and_each_concept_is_captioned_once(twins):
    """Pocket: one caption per concept, four images per caption and side."""
    planned = items(twins)
    assert planned["synthesis"] == planned["filtering"] == (4 * 4, True)
    assert planned["captioning"] == (3, True)


def test_captions_that_are_there_say_more_than_twins_and_requests_say_more_than_captions(twins, captions, tmp_path):
    planned = items(twins | captions)
    assert planned["synthesis"] == (3 * 4, False)
    assert planned["captioning"] == (2, False)
    requests = save(tmp_path, "image_requests", image_id=["i", "j", "k"])
    planned = items(twins | captions | requests)
    assert (planned["synthesis"], planned["captioning"]) == ((3, False), (2, False))


def test_stated_images_need_at_most_a_caption_for_every_four():
    planned = items({}, PreflightSettings(images=1001, devices=8))
    assert planned["synthesis"] == (1001, False)
    assert planned["captioning"] == (251, True)
    works = plan_stages(Survey(None, STAGES), PreflightSettings(images=1001, devices=8))
    assert {work.stage: work.devices for work in works if work.devices > 1} == dict.fromkeys(
        ("captioning", "synthesis", "filtering"), 8
    )


def test_servers_share_out_their_work_by_themselves():
    server = {"servers": ["http://localhost:1/v1"], "model": "m", "revision": "1", "prices": [2.0, 10.0]}
    stages = STAGES | {"captioning": change_stage("captioning", language_model=server)}
    works = {work.stage: work for work in plan_stages(Survey(None, stages), PreflightSettings(images=8, devices=8))}
    assert (works["captioning"].device, works["captioning"].devices) == ("servers", 1)
    assert works["captioning"].prices == (2.0, 10.0)
    assert not works["captioning"].uses_gpu


def test_without_the_parameters_that_decide_it_the_number_is_not_known():
    survey = Survey(None, {name: STAGES[name] for name in ("mining", "synthesis")})
    planned = count_images(survey, NOTHING_STATED)
    assert planned.images is None
    assert "captioning" in planned.source
