import inspect
from pathlib import Path

import accelerate
import diffusers
import numpy as np
import pytest
import torch
from diffusers import AutoPipelineForText2Image

from cultureclip.errors import ConfigurationError
from cultureclip.images.requests import read_recipe
from cultureclip.models.diffusion import image_pipeline
from cultureclip.models.diffusion.image_families import FAMILIES, choose_dtype, complete_call, find_family
from cultureclip.models.diffusion.text_to_image import LoadOptions, TextToImage, check_call, load_text_to_image
from cultureclip.models.settings import ImageMemory
from tests.support.tiny_generators import CALLS, write_tiny_generator
from tests.support.tiny_models import copy_model, tiny_settings

PROMPTS, SEEDS = ["a red kimono", "the flag of Chad with egg", "ramen"], [1, 2, 3]


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def folder(name, tmp_path_factory) -> Path:
    return write_tiny_generator(name, tmp_path_factory.mktemp(name) / "model")


@pytest.fixture(scope="module")
def expected(name, folder) -> np.ndarray:
    """What the family's own pipeline makes, loaded and called as its documentation says."""
    pipeline = AutoPipelineForText2Image.from_pretrained(folder, dtype=torch.float32)
    assert type(pipeline).__name__ == name
    pipeline.set_progress_bar_config(disable=True)
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in SEEDS]
    negative = [CALLS[name]["negative_prompt"]] * len(PROMPTS)
    call = CALLS[name] | {"negative_prompt": negative}
    return pixels(pipeline(prompt=PROMPTS, generator=generators, **call).images)


def pixels(images) -> np.ndarray:
    return np.stack([np.asarray(image, int) for image in images])


def load(folder: Path, dtype: str = "float32", **options) -> TextToImage:
    return load_text_to_image(folder, "cpu", dtype, LoadOptions(**options))


def draw(model: TextToImage, call: dict) -> np.ndarray:
    texts = model.embed([PROMPTS], call)[0] if model.embeds_first else PROMPTS
    return pixels(model.generate(texts, SEEDS, call))


def test_the_pictures_are_those_of_the_familys_own_pipeline(name, folder, expected):
    made = draw(load(folder), CALLS[name])
    assert np.array_equal(made, expected)
    assert len({picture.tobytes() for picture in made}) == len(PROMPTS)
    assert made.std() > 5


@pytest.fixture
def layers_can_go(monkeypatch):
    """Name the CPU to accelerate as tensors do: diffusers says ``cpu:0``, which is another device than theirs."""
    real = accelerate.cpu_offload
    monkeypatch.setattr(
        accelerate, "cpu_offload", lambda model, device, **more: real(model, torch.device(device.type), **more)
    )


@pytest.mark.parametrize(
    "memory",
    [
        {"text_encoders": "offloaded"},
        {"text_encoders": "freed"},
        {"text_encoders": "freed", "offload": "model"},
        {"offload": "sequential"},
        {"text_encoders": "freed", "offload": "sequential"},
    ],
    ids=["offloaded", "freed", "freed and model", "sequential", "freed and sequential"],
)
def test_where_parts_are_changes_no_byte(name, folder, expected, memory, layers_can_go):
    """On one device, parts that come and go compute the same numbers; twice, since a part is read again."""
    model = load(folder, memory=ImageMemory(**memory))
    assert np.array_equal(draw(model, CALLS[name]), expected)
    assert np.array_equal(draw(model, CALLS[name]), expected)


def test_freed_text_encoders_are_gone_while_pictures_are_made(name, folder):
    model = load(folder, memory=ImageMemory(text_encoders="freed"))
    texts = model.embed([PROMPTS, PROMPTS[:1]], CALLS[name])
    assert [len(one) for one in texts] == [3, 1]
    encoders = [part for part in model.pipeline.components if part.startswith("text_encoder")]
    assert encoders
    assert all(getattr(model.pipeline, part) is None for part in encoders)


def test_offloaded_one_by_one_no_layer_keeps_its_weights(name, folder, layers_can_go):
    model = load(folder, memory=ImageMemory(offload="sequential"))
    draw(model, CALLS[name])
    denoiser = getattr(model.pipeline, "transformer", None) or model.pipeline.unet
    kept = [part for part, one in denoiser.named_parameters() if one.device.type != "meta"]
    assert not kept


def test_embedded_prompts_can_be_cut_as_a_batch_is_when_memory_runs_out(name, folder, expected):
    model = load(folder, memory=ImageMemory(text_encoders="offloaded"))
    (texts,) = model.embed([PROMPTS], CALLS[name])
    made = [pixels(model.generate(texts[cut], SEEDS[cut], CALLS[name])) for cut in (slice(0, 2), slice(2, 4))]
    assert np.abs(np.concatenate(made) - expected).max() <= 2


def test_decoding_image_by_image_changes_at_most_the_last_bits(name, folder, expected):
    assert np.abs(draw(load(folder, memory=ImageMemory(vae_slicing=True)), CALLS[name]) - expected).max() <= 1


def test_without_guidance_the_negative_prompt_does_not_count(name, folder):
    without = {key: value for key, value in CALLS[name].items() if key != "negative_prompt"}
    call = without | {"true_cfg_scale" if "true_cfg_scale" in without else "guidance_scale": 1.0}
    model = load(folder)
    plain = draw(model, call)
    assert np.array_equal(draw(model, call | {"negative_prompt": "a bowl"}), plain)
    embedded = load(folder, memory=ImageMemory(text_encoders="offloaded"))
    assert np.array_equal(draw(embedded, call | {"negative_prompt": "a bowl"}), plain)


def test_defaults_are_arguments_that_the_class_takes(name, folder):
    family = FAMILIES[name]
    check_call(folder, complete_call(folder, {}))
    call = inspect.signature(getattr(diffusers, name).__call__).parameters
    assert set(family.embeds) - {""} <= set(call)
    assert choose_dtype(folder, None) == family.dtype
    assert choose_dtype(folder, "float32") == "float32"


def test_an_id_is_the_same_whether_a_default_is_written_out(name, folder):
    left = tiny_settings(folder, call={"height": 32}, dtype=None)
    written = tiny_settings(folder, call={**FAMILIES[name].call, "height": 32}, dtype=FAMILIES[name].dtype)
    other = tiny_settings(folder, call={**FAMILIES[name].call, "height": 16}, dtype=None)
    ids = [read_recipe(settings).image_id("a kimono", 0) for settings in (left, written, other)]
    assert ids[0] == ids[1] != ids[2]


def test_weights_kept_in_8_bits_are_another_picture_and_another_id(folder, name, expected):
    denoiser = "unet" if name == "StableDiffusionXLPipeline" else "transformer"
    quantization = {denoiser: {"quant_method": "layerwise", "storage": "float8_e4m3fn"}}
    model = load(folder, quantization=quantization)
    kinds = {one.dtype for one in getattr(model.pipeline, denoiser).parameters()}
    assert torch.float8_e4m3fn in kinds
    assert not np.array_equal(draw(model, CALLS[name]), expected)
    plain, changed = (read_recipe(tiny_settings(folder, quantization=q)) for q in (None, quantization))
    assert plain.image_id("a kimono", 0) != changed.image_id("a kimono", 0)


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory) -> Path:
    return write_tiny_generator("StableDiffusionXLPipeline", tmp_path_factory.mktemp("sdxl") / "model")


def test_tiles_can_be_seen_in_large_pictures_alone_so_tiling_is_in_the_id(sdxl):
    small, large = CALLS["StableDiffusionXLPipeline"], CALLS["StableDiffusionXLPipeline"] | {"height": 96, "width": 96}
    whole, tiled = load(sdxl), load(sdxl, vae_tiling=True)
    assert np.array_equal(draw(tiled, small), draw(whole, small))
    assert np.abs(draw(tiled, large) - draw(whole, large)).max() > 2
    plain, changed = (read_recipe(tiny_settings(sdxl, vae_tiling=tiling)) for tiling in (False, True))
    assert plain.image_id("a kimono", 0) != changed.image_id("a kimono", 0)


def test_a_compiled_denoiser_stays_within_the_stated_tolerance(tmp_path):
    folder = write_tiny_generator("StableDiffusion3Pipeline", tmp_path)
    call = CALLS["StableDiffusion3Pipeline"]
    compiled = load(folder, memory=ImageMemory(compile=True))
    blocks = [module for module in compiled.pipeline.transformer.modules() if module._compiled_call_impl is not None]
    assert blocks
    assert np.abs(draw(compiled, call) - draw(load(folder), call)).max() <= 2


def test_memory_is_no_part_of_the_id(sdxl):
    memory = {"text_encoders": "freed", "vae_slicing": True, "compile": True, "pad_batches": True}
    plain, changed = (read_recipe(tiny_settings(sdxl, memory=one)) for one in ({}, memory))
    assert plain == changed


@pytest.mark.parametrize(
    ("quantization", "message"),
    [
        ({"tranformer": {"quant_method": "layerwise"}}, r"quantization\.tranformer: no model.*text_encoder"),
        ({"unet": {"load_in_8bit": True}}, r"quantization\.unet: no quant_method"),
        ({"unet": {"quant_method": "layerwise", "storage": "float32"}}, r"storage: not an 8-bit type.*float8_e4m3fn"),
        (
            {"text_encoder": {"quant_method": "layerwise", "storage": "float8_e4m3fn"}},
            r"text_encoder: not a model of diffusers",
        ),
        ({"unet": {"quant_method": "nosuch"}}, r"synthesis\.quantization\.unet: .*nosuch"),
    ],
)
def test_a_quantisation_that_cannot_be(sdxl, quantization, message):
    with pytest.raises(ConfigurationError, match=message):
        load(sdxl, quantization=quantization)


def test_a_class_without_a_line_in_the_table(sdxl, tmp_path):
    folder = copy_model(sdxl, tmp_path / "other")
    index = folder / "model_index.json"
    index.write_text(index.read_text().replace("StableDiffusionXLPipeline", "StableDiffusionPipeline"))
    assert find_family(folder) is None
    given = {"num_inference_steps": 2, "height": 16, "width": 16}
    assert complete_call(folder, given) == given
    with pytest.raises(ConfigurationError, match=r"synthesis\.call\.height.*Set height, width"):
        complete_call(folder, {"num_inference_steps": 2})
    with pytest.raises(ConfigurationError, match=r"synthesis\.dtype: not set"):
        choose_dtype(folder, None)
    with pytest.raises(ConfigurationError, match=r"synthesis\.memory\.text_encoders: .*Set it to resident"):
        load(folder, memory=ImageMemory(text_encoders="freed"))


def test_a_decoder_that_cannot_work_by_tiles(sdxl, monkeypatch):
    home = next(kind for kind in diffusers.AutoencoderKL.__mro__ if "enable_tiling" in vars(kind))
    monkeypatch.delattr(home, "enable_tiling")
    with pytest.raises(ConfigurationError, match=r"synthesis\.vae_tiling: not possible with AutoencoderKL"):
        load(sdxl, vae_tiling=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"memory": {"offload": "model"}}, r"device must be another one"),
        ({"memory": {"offload": "sequential", "compile": True}, "device": "cuda"}, r"compile: layers"),
    ],
)
def test_options_that_contradict_each_other(sdxl, change, message):
    with pytest.raises(ValueError, match=message):
        tiny_settings(sdxl, **change)


def test_only_the_encoders_of_the_next_part_are_read_again(sdxl, monkeypatch):
    read = []
    original = image_pipeline.load_module
    monkeypatch.setattr(
        image_pipeline, "load_module", lambda part, *rest: read.append(part.name) or original(part, *rest)
    )
    model = load(sdxl, memory=ImageMemory(text_encoders="freed"))
    at_first = sorted(read)
    call = CALLS["StableDiffusionXLPipeline"]
    model.embed([PROMPTS], call)
    assert sorted(read) == at_first
    model.embed([PROMPTS, PROMPTS], call)
    assert sorted(read) == sorted([*at_first, "text_encoder", "text_encoder_2"])
