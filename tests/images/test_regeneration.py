import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from kedro.config import OmegaConfigLoader
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from PIL import Image

from cultureclip.errors import ConfigurationError, MissingInputError
from cultureclip.images.batches import Batch
from cultureclip.images.records import encode_image
from cultureclip.images.regeneration import compare, find_batch, find_record, regenerate
from cultureclip.images.store import ShardStore
from cultureclip.pipelines.regenerate.parameters import RegenerateParameters
from cultureclip.pipelines.regenerate.pipeline import create_pipeline
from cultureclip.pipelines.synthesis.parameters import SynthesisParameters
from cultureclip.preflight import check_parameters
from tests.support.tiny_models import TINY_CALL, tiny_settings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(requests, generate, tmp_path) -> ShardStore:
    generate(requests, ShardStore(tmp_path / "store"))
    return ShardStore(tmp_path / "store")


def contents(store: ShardStore) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in store.root.glob("*/*")}


def test_an_image_comes_out_equal_and_the_store_stays_as_it_is(store, requests, tiny_sd3):
    before, settings = contents(store), tiny_settings(tiny_sd3)
    for image_id in requests["image_id"][:: len(requests) // 3]:
        stored = find_record(store, image_id)
        batch = find_batch(requests, stored, settings)
        assert image_id in batch.ids
        found = regenerate(stored, batch, settings, store)
        assert (found.equal, found.largest_difference, found.psnr, found.versions) == (True, 0, None, {})
        assert found.batch_sizes == (len(batch.ids),) * 2
        assert f"{image_id}: equal, byte for byte; same batch size" in found.say()
        assert "same machine and versions" in found.say()
    assert contents(store) == before


def test_the_batch_has_the_recorded_size_whatever_the_settings_say_now(store, requests, tiny_sd3):
    """The store was made in batches of 2: also where the last of a shard, or the memory, made them smaller."""
    now = tiny_settings(tiny_sd3, batch_size=5)
    pairs = {
        frozenset(rows["image_id"].tolist()[start : start + 2])
        for _, rows in requests.sort_values("image_id").groupby("shard")
        for start in range(0, len(rows), 2)
    }
    for image_id in requests["image_id"]:
        stored = find_record(store, image_id)
        batch = find_batch(requests, stored, now)
        assert len(batch.ids) == stored.batch_size
        assert frozenset(batch.ids) in pairs or set(batch.ids) == {image_id}
        rows = requests.set_index("image_id").loc[list(batch.ids)]
        assert (tuple(rows["prompt"]), tuple(rows["seed"])) == (batch.prompts, batch.seeds)
    single = replace(find_record(store, requests["image_id"][0]), batch_size=7)
    assert find_batch(requests, single, now).ids == (single.image_id,) * 7


def test_other_circumstances_are_named_and_the_difference_is_measured(store, requests, tiny_sd3):
    stored = find_record(store, requests["image_id"][0])
    versions = json.loads(stored.versions) | {"torch": "1.0", "machine": "pdp11", "offload": "model"}
    foreign = replace(stored, versions=json.dumps(versions))
    settings = tiny_settings(tiny_sd3)
    alone = Batch(*(one[:1] for one in _row(requests, stored.image_id)), frozenset([stored.image_id]))
    found = regenerate(replace(foreign, batch_size=2), alone, settings, store)
    assert found.batch_sizes == (2, 1)
    assert found.largest_difference <= 1
    assert set(found.versions) == {"torch", "machine", "offload"}
    assert found.versions["offload"] == ("model", None)
    said = found.say()
    assert "other batch size (2 then, 1 now)" in said
    assert "torch (1.0 then, " in said
    assert "machine (pdp11 then, " in said


def _row(requests, image_id: str):
    row = requests.set_index("image_id").loc[image_id]
    return (image_id,), (row["prompt"],), (int(row["seed"]),)


def test_the_difference_is_that_of_the_pixels():
    pixels = np.full((16, 16, 3), 100, np.uint8)
    then = encode_image("ab", Image.fromarray(pixels), 4, {})
    pixels[3, 5, 1] = 110
    now = encode_image("ab", Image.fromarray(pixels), 4, {})
    found = compare(then, now)
    assert (found.equal, found.largest_difference) == (False, 10)
    assert found.psnr == pytest.approx(10 * math.log10(255**2 * 16 * 16 * 3 / 10**2), abs=0.01)
    assert "differs by at most 10 of 255, PSNR 57.0 dB" in found.say()


def test_what_cannot_be_made_again_is_an_error_with_its_remedy(store, requests, tiny_sd3, tmp_path):
    settings, image_id = tiny_settings(tiny_sd3), requests["image_id"][0]
    known = min(requests["image_id"])
    with pytest.raises(MissingInputError, match=rf"image abc123: not in .*Give the id of one of its .*{known}"):
        find_record(store, "abc123")
    with pytest.raises(MissingInputError, match=r"image abc123: not in .*--pipelines=synthesis"):
        find_record(ShardStore(tmp_path / "empty"), "abc123")
    stored = find_record(store, image_id)
    with pytest.raises(MissingInputError, match=rf"image {image_id}: .*--load-versions=image_requests:"):
        find_batch(requests[requests["image_id"] != image_id], stored, settings)
    other = tiny_settings(tiny_sd3, call=TINY_CALL | {"num_inference_steps": 3})
    with pytest.raises(ConfigurationError, match=rf"image {image_id}: made with another model.*run_manifest"):
        find_batch(requests, stored, other)


def test_the_pipeline_saves_the_comparison(store, requests, tiny_sd3):
    amounts = {"images_per_caption": 4, "shard_digits": 1, "contact_sheet_images": 2, "verify": True}
    synthesis = SynthesisParameters(**tiny_settings(tiny_sd3).model_dump(), **amounts)
    image_id = requests["image_id"][1]

    def run(image_id: str | None) -> dict:
        given = {
            "image_store": store,
            "image_requests": requests,
            "params:synthesis": synthesis,
            "params:regenerate": RegenerateParameters(image_id=image_id),
        }
        catalog = DataCatalog({name: MemoryDataset(value, copy_mode="assign") for name, value in given.items()})
        return SequentialRunner().run(create_pipeline(), catalog)["regeneration"].load()

    result = run(image_id)
    assert (result["image_id"], result["equal"], result["differing_versions"]) == (image_id, True, {})
    with pytest.raises(ConfigurationError, match=r"image_id: not set.*--params image_id=<id>"):
        run(None)


def test_the_short_name_of_the_parameter_is_read_and_only_from_the_command_line():
    loader = OmegaConfigLoader(
        str(ROOT / "conf"), base_env="base", default_run_env="base", runtime_params={"image_id": "ab12"}
    )
    parameters = loader["parameters"]
    assert parameters["regenerate"] == {"image_id": "ab12"}
    check_parameters(parameters, {"image_id": "ab12"})
    with pytest.raises(ConfigurationError, match="parameter image_id: nothing reads it"):
        check_parameters(parameters, {})
    assert RegenerateParameters.model_validate({"image_id": None}).image_id is None
    with pytest.raises(ValueError, match="pattern"):
        RegenerateParameters(image_id="../../etc")
