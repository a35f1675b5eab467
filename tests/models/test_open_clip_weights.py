"""Files that open_clip loads are loaded, and give what open_clip gives."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from cultureclip.clip.export.checkpoint import open_checkpoint, save_checkpoint
from cultureclip.errors import WeightsError
from cultureclip.models.encoder import CONFIG_NAME, WEIGHTS_NAME, load_encoder
from cultureclip.models.weights.safetensors_files import strip_wrappers
from tests.clip.export.test_checkpoint import make_checkpoint
from tests.support.tiny_clip import write_tiny_clip

TEXTS = ["a red kimono", "taco", "torii gate"]


def prefixed(prefix: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda state: {prefix + name: tensor for name, tensor in state.items()}


def compiled_tower(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.replace("visual.", "visual._orig_mod."): tensor for name, tensor in state.items()}


def longer_temperature(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return state | {"logit_scale": state["logit_scale"].reshape(1)}


CHANGES = {
    **{prefix: prefixed(prefix) for prefix in ("module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.")},
    "a compiled tower": compiled_tower,
    "a temperature of one dimension": longer_temperature,
}


@pytest.mark.parametrize("change", CHANGES)
def test_wrapped_names_are_read(tmp_path: Path, change: str) -> None:
    folder = write_tiny_clip(tmp_path / "clip")
    expected = load_encoder(folder).encode_texts(TEXTS)
    save_file(CHANGES[change](load_file(folder / WEIGHTS_NAME)), folder / WEIGHTS_NAME)
    np.testing.assert_array_equal(load_encoder(folder).encode_texts(TEXTS), expected)


@pytest.mark.parametrize("change", ["", "_orig_mod.module."])
def test_flat_names_under_custom_text_are_read_and_a_checkpoint_on_them_is_merged(tmp_path: Path, change: str) -> None:
    folder = write_tiny_clip(tmp_path / "clip")
    expected = load_encoder(folder).encode_texts(TEXTS)
    config = json.loads((folder / CONFIG_NAME).read_text())
    config["model_cfg"]["custom_text"] = True
    (folder / CONFIG_NAME).write_text(json.dumps(config))
    save_file(prefixed(change)(load_file(folder / WEIGHTS_NAME)), folder / WEIGHTS_NAME)
    encoder = load_encoder(folder)
    assert isinstance(encoder.model, open_clip.CustomTextCLIP)
    np.testing.assert_allclose(encoder.encode_texts(TEXTS), expected, atol=1e-6)
    checkpoint, adapted = make_checkpoint(folder)
    save_checkpoint(checkpoint, tmp_path / "out")
    merged = load_encoder(open_checkpoint(tmp_path / "out").merged_path)
    np.testing.assert_allclose(merged.encode_texts(TEXTS), adapted.encode_texts(TEXTS), atol=1e-5)


def test_position_ids_of_older_text_towers_are_dropped_as_open_clip_drops_them(tmp_path: Path) -> None:
    folder = write_tiny_clip(tmp_path / "clip")
    expected = load_encoder(folder).encode_texts(TEXTS)
    state = load_file(folder / WEIGHTS_NAME)
    save_file(state | {"text.transformer.embeddings.position_ids": torch.arange(16)[None]}, folder / WEIGHTS_NAME)
    np.testing.assert_array_equal(load_encoder(folder).encode_texts(TEXTS), expected)


@pytest.mark.parametrize("name", ["open_clip_pytorch_model.safetensors", "model.safetensors", "epoch_3.safetensors"])
def test_other_file_names_are_found_as_open_clip_finds_them(tmp_path: Path, name: str) -> None:
    folder = write_tiny_clip(tmp_path / "clip")
    expected = load_encoder(folder).encode_texts(TEXTS)
    (folder / WEIGHTS_NAME).rename(folder / name)
    np.testing.assert_array_equal(load_encoder(folder).encode_texts(TEXTS), expected)
    with torch.no_grad():
        model = open_clip.create_model(f"local-dir:{folder}")
        theirs = model.encode_text(open_clip.get_tokenizer(f"local-dir:{folder}")(TEXTS), normalize=True)
    np.testing.assert_allclose(theirs.numpy(), expected, atol=1e-6)


def test_resized_positions_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_tiny_clip(tmp_path / "clip")
    config = json.loads((folder / CONFIG_NAME).read_text())
    config["model_cfg"]["vision_cfg"]["image_size"] = 32
    whole = {name: tensor.float() for name, tensor in load_file(folder / WEIGHTS_NAME).items()}
    save_file(whole, folder / WEIGHTS_NAME)  # torch resizes no float16 on a CPU
    (folder / CONFIG_NAME).write_text(json.dumps(config))
    with caplog.at_level(logging.WARNING):
        encoder = load_encoder(folder)
    assert "visual.positional_embedding has the shape [5, 32], the config asks for [17, 32]" in caplog.text
    with torch.no_grad():
        theirs = open_clip.create_model(f"local-dir:{folder}").state_dict()["visual.positional_embedding"]
    assert torch.equal(encoder.model.state_dict()["visual.positional_embedding"], theirs)


def lacking(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if name != "visual.proj"}


def twice(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return state | {"module.visual.proj": state["visual.proj"] + 1}


def biased(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return state | {"logit_bias": torch.zeros(())}


@pytest.mark.parametrize(
    ("change", "cause"),
    [(lacking, "weights and config disagree"), (biased, "disagree"), (twice, "two of its tensors have one name")],
)
def test_what_open_clip_cannot_repair_is_a_typed_error(tmp_path: Path, change: object, cause: str) -> None:
    folder = write_tiny_clip(tmp_path / "clip")
    save_file(change(load_file(folder / WEIGHTS_NAME)), folder / WEIGHTS_NAME)
    with pytest.raises(WeightsError, match=cause):
        load_encoder(folder)


def test_only_wrappers_are_stripped() -> None:
    for name in ("module_list.0.weight", "text.module.weight", "my_orig_mod.weight", "visual.proj"):
        assert strip_wrappers(name) == name
    assert strip_wrappers("module.module._orig_mod.module.a.b") == "a.b"


def test_nothing_is_left_in_the_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("cultureclip.engine.temporary.gettempdir", lambda: str(tmp_path / "tmp"))
    folder = write_tiny_clip(tmp_path / "clip")
    state = prefixed("_orig_mod.")(load_file(folder / WEIGHTS_NAME))
    save_file(state, folder / WEIGHTS_NAME)
    load_encoder(folder)
    assert list((tmp_path / "tmp").iterdir()) == []
    with safe_open(folder / WEIGHTS_NAME, framework="pt") as handle:
        assert set(handle.keys()) == set(state), "the file itself was changed"
