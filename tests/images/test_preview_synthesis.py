"""The preview of synthesis: the stage's own images, drawn once, the same to the last bit."""

import random

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cultureclip.errors import MissingInputError, WeightsError
from cultureclip.images import generation
from cultureclip.images.batches import plan_missing, take_batches
from cultureclip.images.generation import GenerationReport, generate_missing
from cultureclip.images.store import ShardStore
from cultureclip.models.diffusion.text_to_image import TextToImage
from cultureclip.pipelines.preview import PreviewParameters
from cultureclip.pipelines.preview_synthesis.nodes import choose_images, estimate, preview_images
from cultureclip.pipelines.synthesis.nodes import plan_images
from cultureclip.pipelines.synthesis.parameters import SynthesisParameters
from tests.images.conftest import TEXTS
from tests.support.captions import HANBOK, KIMONO, caption_table
from tests.support.tiny_models import TINY_CALL, tiny_settings
from tests.test_hooks import Workplace, place  # noqa: F401 - a fixture

CONCEPTS = pd.DataFrame({"concept_id": [KIMONO, HANBOK], "name": ["kimono", "hanbok"]})


@pytest.fixture
def drawn(monkeypatch) -> list[tuple[str, int]]:
    """Prompt and seed of every image that the model draws."""
    seen: list[tuple[str, int]] = []
    real = TextToImage.generate

    def counted(self, prompts, seeds, call):
        seen.extend(zip(prompts, seeds, strict=True))
        return real(self, prompts, seeds, call)

    monkeypatch.setattr(TextToImage, "generate", counted)
    return seen


def settings(model) -> SynthesisParameters:
    amounts = {"images_per_caption": 8, "shard_digits": 1, "verify": True, "contact_sheet_images": 4}
    return SynthesisParameters(**dict(tiny_settings(model)) | amounts)


def preview(items, store, parameters, texts=TEXTS):
    captions = caption_table(texts)
    plan = plan_images(captions, CONCEPTS, parameters)
    first = choose_images(plan, captions, CONCEPTS, PreviewParameters(items=items))
    return preview_images(first, plan, store, parameters), plan


def test_the_batches_taken_are_the_first_of_the_whole_plan(requests):
    rng = random.Random(1)
    ordered = requests.sort_values("image_id")["image_id"].tolist()
    for _ in range(60):
        count, size = rng.randint(1, len(requests)), rng.randint(1, 7)
        whole = [batch for task in plan_missing(requests, set(), size, size) for batch in task.batches]
        taken = take_batches(requests.sample(frac=1, random_state=count), count, size)
        batches = [batch for task in plan_missing(taken, set(), size, size) for batch in task.batches]
        assert batches == whole[: len(batches)]
        assert set(ordered[:count]) <= set(taken["image_id"])
        assert not set(batches[-1].ids).isdisjoint(ordered[:count])


def test_the_stage_draws_no_image_again_and_gets_the_bytes_of_an_undisturbed_run(tiny_sd3, tmp_path, drawn):
    parameters = settings(tiny_sd3)
    seen, plan = preview(5, ShardStore(tmp_path / "a"), parameters)
    previewed = len(drawn)
    assert 5 <= previewed < len(plan)
    report = generate_missing(plan, ShardStore(tmp_path / "a"), parameters)
    assert (report.present, report.made, report.generated) == (previewed, *[len(plan) - previewed] * 2)
    assert sorted(drawn) == sorted(zip(plan["prompt"], plan["seed"], strict=True))
    assert not report.other
    generate_missing(plan, ShardStore(tmp_path / "b"), parameters)
    ids = plan["image_id"].tolist()
    assert ShardStore(tmp_path / "a").checksums(ids) == ShardStore(tmp_path / "b").checksums(ids)
    figures = {figure.name: figure for figure in seen.figures}
    assert figures["images"].whole == len(plan) == report.planned
    assert figures["time"].whole == pytest.approx(figures["time"].seen / 5 * len(plan))
    assert 0 < report.drawing <= report.seconds


def test_what_is_shown_is_the_start_of_the_plan_with_its_concepts(tiny_sd3, tmp_path):
    seen, plan = preview(5, ShardStore(tmp_path), settings(tiny_sd3))
    first = plan.sort_values("image_id").head(5)
    assert [one.prompt[0][1] for one in seen.shown] == first["prompt"].tolist()
    owner = dict(zip(TEXTS, ["kimono", "hanbok"] * 3, strict=True))
    assert [one.title for one in seen.shown] == [owner[text] for text in first["prompt"]]
    html = dict(seen.files())["index.html"].decode()
    assert html.count('<img src="data:image/jpeg;base64,') == 5


def test_more_items_than_there_are_draw_all(tiny_sd3, tmp_path):
    seen, plan = preview(1000, ShardStore(tmp_path), settings(tiny_sd3))
    assert seen.items == seen.total == len(plan) == len(seen.shown)


def test_disk_is_that_of_the_stored_pictures_and_never_none_of_small_ones(tiny_sd3, tmp_path):
    seen, _ = preview(1000, ShardStore(tmp_path), settings(tiny_sd3))
    parts = [pq.read_table(part, columns=["image"]) for part in tmp_path.rglob("*.parquet")]
    stored = sum(len(row["image"]["bytes"]) for part in parts for row in part.to_pylist())
    disk = next(figure for figure in seen.figures if figure.name == "disk")
    assert (disk.unit, disk.seen, disk.whole) == ("kB", pytest.approx(stored / 1e3), pytest.approx(stored / 1e3))
    one, _ = preview(1, ShardStore(tmp_path), settings(tiny_sd3))
    assert next(round(figure.seen, figure.digits) for figure in one.figures if figure.name == "disk") > 0


def test_disk_of_large_pictures_is_said_in_megabytes():
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), np.uint8)
    figures = estimate([Image.fromarray(noise)], GenerationReport(1, 1), total=1000)
    disk = next(figure for figure in figures if figure.name == "disk")
    assert disk.unit == "MB"
    assert 1000 * noise.nbytes / 1e6 <= disk.whole < 1010 * noise.nbytes / 1e6


def test_a_second_preview_loads_no_model_and_says_that_it_cannot_tell_the_time(tiny_sd3, tmp_path, monkeypatch):
    preview(3, ShardStore(tmp_path), settings(tiny_sd3))
    monkeypatch.setattr(generation, "ShardWorker", lambda *_: pytest.fail("the model was loaded"))
    seen, _ = preview(3, ShardStore(tmp_path), settings(tiny_sd3))
    assert {one.verdict for one in seen.shown} == {"kept"}
    assert "time" not in {figure.name for figure in seen.figures}
    assert "kept" in seen.remarks[0]


def test_a_hostile_prompt_is_text_and_one_that_is_not_read_to_its_end_is_said_to_be_so(tiny_sd3, tmp_path):
    hostile = "<script>alert(1)</script> " * 40
    seen, plan = preview(1000, ShardStore(tmp_path), settings(tiny_sd3), [*TEXTS, hostile])
    cut = [one for one in seen.shown if one.reason is not None]
    assert {one.prompt[0][1] for one in cut} == {hostile}
    assert len(cut) == (plan["prompt"] == hostile).sum()
    html = dict(seen.files())["index.html"].decode()
    assert "&lt;script&gt;alert(1)" in html and "<script" not in html
    assert "does not read the prompt to its end" in html


def test_what_is_missing_stops_the_preview_as_it_stops_the_stage(place: Workplace, tmp_path):  # noqa: F811
    with pytest.raises(MissingInputError, match="kedro run --pipelines=mining"):
        place.run("preview_synthesis")
    place.fill()
    with pytest.raises(WeightsError, match=r"synthesis\.model"):
        place.run("preview_synthesis", synthesis={"model": str(tmp_path / "nowhere")})
    assert place.manifests() == []


def test_a_session_leaves_the_page_and_none_of_the_stages_tables(place: Workplace, tiny_sd3):  # noqa: F811
    place.put_table("03_primary/concepts.parquet", CONCEPTS)
    place.put_table("03_primary/captions.parquet", caption_table(TEXTS))
    place.run("preview_synthesis", synthesis={"model": str(tiny_sd3), "call": TINY_CALL}, preview={"items": 2})
    (html,) = (place.data / "08_reporting" / "preview" / "synthesis").glob("2*/synthesis/index.html")
    assert html.read_text(encoding="utf-8").count('<img src="data:image/jpeg;base64,') == 2
    assert {path.name for path in (place.data / "03_primary").iterdir()} == {
        "concepts.parquet",
        "captions.parquet",
        "image_store",
    }
    assert len(ShardStore(place.data / "03_primary" / "image_store").present()) >= 2
