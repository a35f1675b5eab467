from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kedro.config import OmegaConfigLoader

from cultureclip.errors import ConfigurationError, SourceDataError
from cultureclip.ids import digest
from cultureclip.images.requests import Recipe, check_recipe, plan_requests, read_recipe
from cultureclip.pipelines.synthesis.parameters import SynthesisParameters
from cultureclip.tables import IMAGE_REQUESTS
from tests.support.captions import caption_table

ROOT = Path(__file__).parents[2]
RECIPE = Recipe("f" * 64, {"_class_name": "Euler"}, {"num_inference_steps": 2}, "float32")


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12), st.integers(1, 4), st.randoms())
@settings(max_examples=30, deadline=None)
def test_ids_are_unique_and_independent_of_row_order_when_texts_repeat(texts, images, rng):
    captions = caption_table(texts)
    plan = IMAGE_REQUESTS.validate(plan_requests(captions, RECIPE, images, 1))
    assert len(plan) == len(texts) * images
    assert (plan.groupby("caption_id").size() == images).all()
    for _, uses in plan.groupby("prompt"):
        assert sorted(uses["k"]) == list(range(len(uses)))
    order = list(range(len(captions)))
    rng.shuffle(order)
    pd.testing.assert_frame_equal(plan, plan_requests(captions.iloc[order], RECIPE, images, 1))


@pytest.mark.parametrize(
    "change",
    [
        {"model": "0" * 64},
        {"scheduler": {"_class_name": "Euler", "shift": 3.0}},
        {"call": {"num_inference_steps": 3}},
        {"call": {"num_inference_steps": 2, "negative_prompt": "text"}},
        {"dtype": "bfloat16"},
        {"draw": 1},
        {"changed": {"vae_tiling": True}},
        {"changed": {"quantization": {"transformer": {"quant_method": "layerwise", "storage": "float8_e4m3fn"}}}},
    ],
)
def test_everything_that_decides_pixels_is_in_the_id(change):
    assert replace(RECIPE, **change).image_id("a kimono", 0) != RECIPE.image_id("a kimono", 0)


def test_draw_0_keeps_the_ids_of_images_made_before_there_were_draws():
    fields = ("image", "a kimono", RECIPE.model, RECIPE.scheduler, RECIPE.call, RECIPE.dtype, None, 3)
    assert RECIPE.image_id("a kimono", 3) == digest(*fields)


def test_the_ids_of_pockets_plan_are_those_of_earlier_versions():
    """Else every stored image would be generated again. The weights' fingerprint is that of the first release."""
    parameters = OmegaConfigLoader(str(ROOT / "conf"), base_env="base", default_run_env="base")["parameters"]
    pocket = read_recipe(SynthesisParameters.model_validate(parameters["synthesis"]))
    recipe = replace(pocket, model="17b1aea3ba574fe5a855ccf38b98055e2e97b877fe8f0c9493ac5eec108d6f72")
    assert [recipe.image_id("a red fan in Kyoto", k) for k in (0, 1)] == [
        "a82bcdc09b7b15bbb8d2",
        "f97f1d5b94352256cc20",
    ]
    assert replace(recipe, draw=3).image_id("a red fan in Kyoto", 0) == "708748939be3ce30fa1c"


def test_shard_is_the_head_of_the_id_and_seeds_differ():
    plan = plan_requests(caption_table(["a", "b", "c"]), RECIPE, 5, 2)
    assert (plan["shard"] == plan["image_id"].str[:2]).all()
    assert plan["seed"].is_unique
    assert plan["seed"].between(0, 2**63 - 1).all()


def test_refused_captions_get_no_images():
    captions = pd.concat([caption_table(["a"]), caption_table([None, "b"], verdict="rejected")])
    assert set(plan_requests(captions, RECIPE, 2, 1)["prompt"]) == {"a"}
    with pytest.raises(SourceDataError, match=r"none of 2 is accepted.*\{'too_short': 2\}.*captioning"):
        plan_requests(caption_table(["a", "b"], verdict="rejected"), RECIPE, 2, 1)
    with pytest.raises(SourceDataError, match=r"no twin is accepted.*mining\.twins"):
        plan_requests(captions.iloc[:0], RECIPE, 2, 1)


def test_requests_of_another_recipe_are_refused():
    plan = plan_requests(caption_table(["a"]), RECIPE, 1, 1)
    check_recipe(plan, RECIPE)
    with pytest.raises(ConfigurationError, match="planned with another model or other settings"):
        check_recipe(plan, replace(RECIPE, dtype="bfloat16"))
