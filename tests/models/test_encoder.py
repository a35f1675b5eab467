"""Any image-text model by its location, each against the library that it comes from."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    AutoTokenizer,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
)

from cultureclip.errors import WeightsError
from cultureclip.models.encoder import CONFIG_NAME, WEIGHTS_NAME, load_encoder
from cultureclip.models.families import fingerprint_model, load_model
from cultureclip.models.weights.fingerprint import fingerprint
from cultureclip.pocket.tokenizer import train_tokenizer
from tests.support.tiny_clip import WORDS, write_tiny_clip

TEXTS = ["a red kimono", "taco", "torii gate in the picture of Chad and Mali", "flag of Peru", "taco"]
TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
EDGE = 16


def pictures(count: int = 5) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (20 + i, 24, 3), np.uint8)) for i in range(count)]


def tiny_tokenizer(length: int) -> PreTrainedTokenizerFast:
    return train_tokenizer([WORDS], vocabulary=320, max_length=length)


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    tokenizer = tiny_tokenizer(24)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": 0}
    text = TOWER | {"vocab_size": len(tokenizer), "max_position_embeddings": 24} | ends
    vision = TOWER | {"image_size": EDGE, "patch_size": 8}
    torch.manual_seed(0)
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)).save_pretrained(folder)
    size = {"shortest_edge": EDGE}
    CLIPImageProcessor(size=size, crop_size={"height": EDGE, "width": EDGE}).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def siglip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("siglip")
    tokenizer = tiny_tokenizer(64)
    text = TOWER | {"vocab_size": len(tokenizer), "max_position_embeddings": 64, "projection_size": 32}
    vision = TOWER | {"image_size": EDGE, "patch_size": 8}
    torch.manual_seed(0)
    SiglipModel(SiglipConfig(text_config=text, vision_config=vision)).save_pretrained(folder)
    SiglipImageProcessor(size={"height": EDGE, "width": EDGE}).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def bare_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest architecture that open_clip knows a release of, with random weights."""
    folder = tmp_path_factory.mktemp("bare")
    torch.manual_seed(0)
    save_file(open_clip.create_model("ViT-B-32-quickgelu").half().state_dict(), folder / "weights.safetensors")
    return folder / "weights.safetensors"


@pytest.fixture
def changed(tmp_path: Path) -> Callable[..., Path]:
    def change(folder: Path, name: str, **fields: object) -> Path:
        """A copy of a model with top-level fields of a JSON file set, or removed where None is given."""
        copy = shutil.copytree(folder, tmp_path / "changed")
        content = json.loads((copy / name).read_text()) | fields
        (copy / name).write_text(json.dumps({k: v for k, v in content.items() if v is not None}))
        return copy

    return change


def test_a_clip_of_transformers_gives_its_own_embeddings(clip_folder: Path) -> None:
    encoder = load_model(clip_folder)
    model = CLIPModel.from_pretrained(clip_folder).eval()
    tokens = AutoTokenizer.from_pretrained(clip_folder)(TEXTS, padding=True, return_tensors="pt")
    pixels = CLIPImageProcessor.from_pretrained(clip_folder)(pictures(), return_tensors="pt")
    with torch.no_grad():
        output = model(**tokens, **pixels)
    np.testing.assert_allclose(encoder.encode_texts(TEXTS), output.text_embeds.numpy(), atol=1e-6)
    images = encoder.encode_images(pictures())
    # their default resamples with torchvision, ours as the models were trained, with Pillow: a level of 255 apart
    np.testing.assert_allclose(images, output.image_embeds.numpy(), atol=0.02)
    own = torch.stack([encoder.preprocess(picture) for picture in pictures()])
    with torch.no_grad():
        output = model(**tokens, pixel_values=own)
    np.testing.assert_allclose(images, output.image_embeds.numpy(), atol=1e-6)


def test_a_siglip_pads_every_text_to_the_full_length(siglip_folder: Path) -> None:
    encoder = load_model(siglip_folder)
    assert encoder.tokenizer(["taco"]).shape == (1, 64)
    model = SiglipModel.from_pretrained(siglip_folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(siglip_folder)
    tokens = tokenizer(TEXTS, padding="max_length", max_length=64, return_tensors="pt").input_ids
    own = torch.stack([encoder.preprocess(picture) for picture in pictures()])
    with torch.no_grad():
        output = model(input_ids=tokens, pixel_values=own)
        short = model.get_text_features(input_ids=tokens[:, :8]).pooler_output
    np.testing.assert_allclose(encoder.encode_texts(TEXTS), output.text_embeds.numpy(), atol=1e-6)
    np.testing.assert_allclose(encoder.encode_images(pictures()), output.image_embeds.numpy(), atol=1e-6)
    assert np.abs(encoder.encode_texts(TEXTS) - torch.nn.functional.normalize(short).numpy()).max() > 1e-3


def test_open_clip_texts_are_cut_without_changing_them(tmp_path: Path) -> None:
    encoder = load_encoder(write_tiny_clip(tmp_path / "m", context_length=24))
    with torch.no_grad():
        whole = encoder.model.encode_text(encoder.tokenizer(TEXTS), normalize=True)
    np.testing.assert_allclose(encoder.encode_texts(TEXTS), whole.numpy(), atol=1e-6)
    counts = encoder.count_tokens(encoder.tokenizer(TEXTS))
    assert counts.max() < 24
    assert counts[1] == counts[4] < counts[2]


def test_bare_open_clip_weights_take_their_release_s_preprocessing(bare_weights: Path) -> None:
    spec = f"open_clip:ViT-B-32-quickgelu/openai@{bare_weights}"
    encoder = load_model(spec)
    assert encoder.fingerprint == fingerprint_model(spec)
    state = load_file(bare_weights)
    name = "visual.conv1.weight"
    torch.testing.assert_close(encoder.model.state_dict()[name], state[name].float())
    white = encoder.preprocess(Image.new("RGB", (300, 200), "white"))
    expected = (1 - np.array(open_clip.OPENAI_DATASET_MEAN)) / np.array(open_clip.OPENAI_DATASET_STD)
    np.testing.assert_allclose(white.mean(dim=(1, 2)).numpy(), expected, rtol=1e-5)
    assert white.shape == (3, 224, 224)


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("ViT-B-32/openai", "ViT-B-32 computes GELU, openai's weights were trained with QuickGELU"),
        ("ViT-B-32-quickgelu/laion2b_s34b_b79k", "knows no release"),
        ("ViT-B-32-quickgelu/nowhere", "known: openai"),
        ("NoSuchModel/openai", "known: none"),
        ("ViT-B-32", "architecture, release or file is missing"),
    ],
)
def test_bare_weights_with_the_wrong_architecture_or_release_are_refused(
    bare_weights: Path, name: str, cause: str
) -> None:
    with pytest.raises(WeightsError, match=cause):
        load_model(f"open_clip:{name}@{bare_weights}")


def test_a_preprocessor_that_is_missing_or_silent_is_an_error(
    clip_folder: Path, changed: Callable[..., Path], tmp_path: Path
) -> None:
    silent = changed(clip_folder, "preprocessor_config.json", image_mean=None)
    with pytest.raises(WeightsError, match="lacks image_mean"):
        load_model(silent)
    (silent / "preprocessor_config.json").unlink()
    with pytest.raises(WeightsError, match=r"no preprocessor_config\.json"):
        load_model(silent)
    tiny = write_tiny_clip(tmp_path / "tiny")
    (tiny / CONFIG_NAME).write_text(
        json.dumps({"model_cfg": json.loads((tiny / CONFIG_NAME).read_text())["model_cfg"]})
    )
    with pytest.raises(WeightsError, match="preprocess_cfg lacks mean and std"):
        load_encoder(tiny)
    (tiny / CONFIG_NAME).write_text(json.dumps({"model_cfg": {}, "preprocess_cfg": None}))
    with pytest.raises(WeightsError, match="preprocess_cfg lacks mean and std"):
        load_encoder(tiny)


def test_a_preprocessor_that_no_library_can_read_is_named(clip_folder: Path, changed: Callable[..., Path]) -> None:
    with pytest.raises(WeightsError, match="no image processor"):
        load_model(changed(clip_folder, "preprocessor_config.json", size="large"))


def test_mean_and_std_of_no_open_clip_release_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tiny = write_tiny_clip(tmp_path)
    load_encoder(tiny)
    assert not caplog.records
    config = json.loads((tiny / CONFIG_NAME).read_text())
    config["preprocess_cfg"]["mean"] = [123.7, 116.3, 103.5]
    (tiny / CONFIG_NAME).write_text(json.dumps(config))
    load_encoder(tiny)
    assert "mean [123.7, 116.3, 103.5]" in caplog.text


def test_mean_and_std_of_another_family_are_warned_of(
    clip_folder: Path, changed: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    load_model(clip_folder)
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        load_model(changed(clip_folder, "preprocessor_config.json", image_std=[0.5, 0.5, 0.5]))
    assert "image_std" in caplog.text


def test_activations_that_cannot_be_right_are_refused(clip_folder: Path, changed: Callable[..., Path]) -> None:
    config = json.loads((clip_folder / "config.json").read_text())
    gelu = {tower: config[tower] | {"hidden_act": "gelu"} for tower in ("text_config", "vision_config")}
    one = changed(clip_folder, "config.json", text_config=gelu["text_config"])
    with pytest.raises(WeightsError, match="towers compute different activations"):
        load_model(one)
    shutil.rmtree(one)
    both = changed(clip_folder, "config.json", **gelu, _name_or_path="openai/clip-vit-base-patch32")
    with pytest.raises(WeightsError, match="trained with quick_gelu, hidden_act is gelu"):
        load_model(both)


def test_a_preprocessor_of_another_size_is_refused(clip_folder: Path, changed: Callable[..., Path]) -> None:
    with pytest.raises(WeightsError, match=r"makes \(3, 8, 8\) of an image"):
        load_model(changed(clip_folder, "preprocessor_config.json", crop_size={"height": 8, "width": 8}))


def test_weights_that_lack_a_tensor_are_refused_instead_of_drawn(clip_folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(clip_folder, tmp_path / "m")
    state = load_file(copy / "model.safetensors")
    state.pop("text_projection.weight")
    save_file(state, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(WeightsError, match=r"lack 1 tensors, such as text_projection\.weight"):
        load_model(copy)


def test_damaged_unknown_and_pickled_models_are_refused(clip_folder: Path, changed: Callable[..., Path]) -> None:
    copy = changed(clip_folder, "config.json", model_type="blip")
    with pytest.raises(WeightsError, match="model_type is 'blip'"):
        load_model(copy)
    shutil.copy(clip_folder / "config.json", copy)
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="does not load"):
        load_model(copy)
    weights.rename(copy / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"pytorch_model\.bin: a pickled file"):
        load_model(copy)
    with pytest.raises(WeightsError, match="no such"):
        load_model(copy / "absent")


def test_the_fingerprint_sees_all_that_decides_an_embedding_and_nothing_else(tmp_path: Path) -> None:
    folder = write_tiny_clip(tmp_path / "m")
    seen = {fingerprint(folder)}
    assert load_encoder(folder).fingerprint in seen
    (folder / "card.json").write_text("{}")
    (folder / "README.md").write_text("about")
    assert fingerprint(folder) in seen
    for name in (WEIGHTS_NAME, CONFIG_NAME, "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((folder / name).read_bytes() + b" ")
        seen.add(fingerprint(folder))
    assert len(seen) == 5


def test_a_file_is_hashed_anew_when_it_changes(tmp_path: Path) -> None:
    folder = write_tiny_clip(tmp_path / "m")
    first = fingerprint(folder)
    weights = load_file(folder / WEIGHTS_NAME)
    weights["logit_scale"] += 1
    save_file(weights, folder / WEIGHTS_NAME)  # of the same size
    assert fingerprint(folder) != first


@pytest.mark.parametrize("family", ["clip_folder", "siglip_folder"])
def test_bf16_images_stay_near_fp32_and_texts_are_fp32(family: str, request: pytest.FixtureRequest) -> None:
    encoder = load_model(request.getfixturevalue(family))
    exact = encoder.encode_images(pictures()), encoder.encode_texts(TEXTS)
    encoder.image_dtype = torch.bfloat16
    images, texts = encoder.encode_images(pictures()), encoder.encode_texts(TEXTS)
    assert images.dtype == np.float32
    assert 0 < np.abs(images - exact[0]).max() < 0.02
    np.testing.assert_allclose(np.linalg.norm(images, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(texts, exact[1])
