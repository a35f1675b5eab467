import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file, save_file

from cultureclip.errors import ConfigurationError, WeightsError
from cultureclip.models.diffusion.diffusers_files import fingerprint
from cultureclip.models.diffusion.text_to_image import LoadOptions, check_call, load_text_to_image
from tests.support.tiny_models import TINY_CALL, copy_model, write_tiny_sd3

TRANSFORMER = Path("transformer", "diffusion_pytorch_model.safetensors")
TEXT_ENCODER = Path("text_encoder", "model.safetensors")


@pytest.fixture(scope="module")
def tiny_sd3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_sd3(tmp_path_factory.mktemp("models") / "sd3")


@pytest.fixture
def damaged(tiny_sd3: Path, tmp_path: Path) -> Path:
    return copy_model(tiny_sd3, tmp_path / "damaged")


def pixels(images) -> np.ndarray:
    return np.stack([np.asarray(image, int) for image in images])


def test_pictures_depend_on_their_own_seed_and_prompt_not_on_their_neighbours(tiny_sd3):
    model = load_text_to_image(tiny_sd3, "cpu", "float32")
    prompts, seeds = ["kimono", "flag of Chad", "ramen"], [11, 12, 13]
    together = pixels(model.generate(prompts, seeds, TINY_CALL))
    turned = pixels(model.generate(prompts[::-1], seeds[::-1], TINY_CALL))[::-1]
    alone = pixels([model.generate([p], [s], TINY_CALL)[0] for p, s in zip(prompts, seeds, strict=True)])
    assert together.shape == (3, 16, 16, 3)
    assert np.abs(together - turned).max() <= 1
    assert np.abs(together - alone).max() <= 1
    assert np.array_equal(together, pixels(model.generate(prompts, seeds, TINY_CALL)))
    other_seed = pixels(model.generate(prompts, [11, 99, 13], TINY_CALL))
    assert np.abs(other_seed[1] - together[1]).max() > 1
    assert np.abs(other_seed[[0, 2]] - together[[0, 2]]).max() <= 1


@pytest.mark.parametrize("listed", [True, False], ids=["null in the index", "not in the index"])
def test_absent_t5_parts(tmp_path, listed):
    model = load_text_to_image(write_tiny_sd3(tmp_path, list_absent_parts=listed), "cpu", "float32")
    assert model.pipeline.text_encoder_3 is None
    assert len(model.generate(["kimono"], [1], TINY_CALL)) == 1


def test_dtype_holds_for_all_parts(tiny_sd3):
    model = load_text_to_image(tiny_sd3, "cpu", "bfloat16")
    parts = (model.pipeline.transformer, model.pipeline.vae, model.pipeline.text_encoder)
    assert {p.dtype for part in parts for p in part.parameters()} == {torch.bfloat16}
    assert len(model.generate(["kimono"], [1], TINY_CALL)) == 1


def test_the_scheduler_can_be_replaced(tiny_sd3):
    override = {"_class_name": "FlowMatchHeunDiscreteScheduler", "shift": 2.0}
    scheduler = load_text_to_image(tiny_sd3, "cpu", "float32", LoadOptions(override)).pipeline.scheduler
    assert (type(scheduler).__name__, scheduler.config.shift) == ("FlowMatchHeunDiscreteScheduler", 2.0)
    with pytest.raises(ConfigurationError, match="'AutoencoderKL' is not a scheduler"):
        load_text_to_image(tiny_sd3, "cpu", "float32", LoadOptions({"_class_name": "AutoencoderKL"}))


def test_call_arguments_are_checked_against_the_class(tiny_sd3):
    check_call(tiny_sd3, {**TINY_CALL, "negative_prompt": "blurred", "skip_guidance_layers": [1]})
    for name in ("steps", "generator", "prompt", "latents"):
        with pytest.raises(ConfigurationError, match=rf"synthesis\.call\.{name}"):
            check_call(tiny_sd3, {name: 1})


def test_a_value_that_the_pipeline_does_not_take_is_an_error_of_the_call(tiny_sd3):
    model = load_text_to_image(tiny_sd3, "cpu", "float32")
    with pytest.raises(ConfigurationError, match=r"synthesis\.call: .*divisible by.*Change"):
        model.generate(["kimono"], [1], TINY_CALL | {"height": 15})


def test_a_device_that_is_not_there(tiny_sd3, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigurationError, match="no cuda on this machine"):
        load_text_to_image(tiny_sd3, "cuda", "float32")


def test_a_model_that_does_not_fit_on_its_device(tiny_sd3, monkeypatch):
    def full(_self, _device):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 16.00 GiB.")

    monkeypatch.setattr(DiffusionPipeline, "to", full)
    with pytest.raises(ConfigurationError, match=r"sd3: does not fit into the memory of cpu.*synthesis\.dtype"):
        load_text_to_image(tiny_sd3, "cpu", "float32")


def rewrite(file: Path, change) -> None:
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, {"format": "pt"})


def forget_one(tensors: dict[str, torch.Tensor]) -> None:
    del tensors[min(tensors)]


def reshape_one(tensors: dict[str, torch.Tensor]) -> None:
    tensors[min(tensors)] = torch.zeros(3, 3)


@pytest.mark.parametrize("file", [TRANSFORMER, TEXT_ENCODER], ids=["transformer", "text encoder"])
@pytest.mark.parametrize("change", [forget_one, reshape_one])
def test_weights_that_are_not_what_the_config_says(damaged, file, change):
    rewrite(damaged / file, change)
    with pytest.raises(WeightsError, match=r"missing|disagree"):
        load_text_to_image(damaged, "cpu", "float32")


@pytest.mark.parametrize("file", [TRANSFORMER, TEXT_ENCODER], ids=["transformer", "text encoder"])
def test_truncated_weights_are_named_before_torch_reads_them(damaged, file):
    (damaged / file).write_bytes((damaged / file).read_bytes()[:-100])
    with pytest.raises(WeightsError, match=rf"{file.name}: not a whole safetensors file"):
        fingerprint(damaged)


def test_missing_parts_and_weights(damaged):
    (damaged / TRANSFORMER).unlink()
    with pytest.raises(WeightsError, match="transformer: no weights file"):
        load_text_to_image(damaged, "cpu", "float32")
    (damaged / "transformer" / "config.json").unlink()
    (damaged / "transformer").rmdir()
    with pytest.raises(WeightsError, match=r"transformer: listed in model_index\.json"):
        load_text_to_image(damaged, "cpu", "float32")
    with pytest.raises(WeightsError, match="no such file"):
        load_text_to_image(damaged / "nowhere", "cpu", "float32")


def test_pickles_are_refused_with_the_conversion_to_run(damaged):
    tensors = load_file(damaged / TRANSFORMER)
    (damaged / TRANSFORMER).unlink()
    torch.save(tensors, damaged / "transformer" / "diffusion_pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"only diffusion_pytorch_model.bin found.*save_pretrained"):
        load_text_to_image(damaged, "cpu", "float32")


@pytest.mark.parametrize("name", ["MyPipeline", ["pipeline", "MyPipeline"], "UNet2DModel", None])
def test_code_from_a_model_directory_is_not_run(damaged, name):
    index = json.loads((damaged / "model_index.json").read_text())
    (damaged / "model_index.json").write_text(json.dumps({**index, "_class_name": name}))
    (damaged / "pipeline.py").write_text("raise SystemExit('code was run')")
    with pytest.raises(WeightsError, match="not a pipeline class of diffusers"):
        load_text_to_image(damaged, "cpu", "float32")


@pytest.mark.parametrize("content", ["{", "[" * 100_000])
def test_an_index_that_is_not_json(damaged, content):
    (damaged / "model_index.json").write_text(content)
    with pytest.raises(WeightsError, match=r"model_index\.json: not JSON"):
        fingerprint(damaged)


def test_a_part_outside_the_directory_is_refused(damaged):
    index = json.loads((damaged / "model_index.json").read_text())
    (damaged / "model_index.json").write_text(json.dumps(index | {"../vae": ["diffusers", "AutoencoderKL"]}))
    with pytest.raises(WeightsError, match=r"model_index\.json: part '\.\./vae' names a file outside the folder"):
        fingerprint(damaged)


def test_the_fingerprint_follows_content_not_place(tiny_sd3, damaged):
    assert fingerprint(damaged) == fingerprint(tiny_sd3)
    (damaged / "README.md").write_text("a card")
    assert fingerprint(damaged) == fingerprint(tiny_sd3)
    rewrite(damaged / TRANSFORMER, lambda tensors: tensors.update({min(tensors): tensors[min(tensors)] + 1}))
    assert fingerprint(damaged) != fingerprint(tiny_sd3)
