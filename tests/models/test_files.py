"""Damage of every kind is found in a model's directory before anything is loaded."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cultureclip.errors import WeightsError
from cultureclip.models.weights.files import are_same_weights, check_model, find_weights
from cultureclip.models.weights.gguf_files import check_gguf
from tests.support.tiny_clip import write_tiny_clip
from tests.support.tiny_llama import write_tiny_llama
from tests.support.tiny_models import copy_model
from tests.support.tiny_paper import write_tiny_qwen, write_tiny_sd35


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_tiny_clip(folder / "clip")
    write_tiny_llama(folder / "llama")
    write_tiny_qwen(folder / "qwen")
    write_tiny_sd35(folder / "sd35")
    return folder


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def lie(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes((2**40).to_bytes(8, "little") + content[8:])


def nest(path: Path) -> None:
    path.write_text("[" * 100_000)


def swell(path: Path) -> None:
    os.truncate(path, 30 * 2**30)


def lead_out(path: Path) -> None:
    path.write_text('{"weight_map": {"a": "../../secret.safetensors"}}')


def garble(path: Path) -> None:
    path.write_text('{"half": ')


@pytest.mark.parametrize(
    ("name", "file", "harm"),
    [
        ("clip", "open_clip_model.safetensors", cut),
        ("clip", "open_clip_model.safetensors", lie),
        ("clip", "open_clip_model.safetensors", Path.unlink),
        ("clip", "open_clip_config.json", garble),
        ("clip", "open_clip_config.json", Path.unlink),
        ("llama", "model.safetensors", cut),
        ("llama", "config.json", garble),
        ("qwen", "model-00002-of-*.safetensors", cut),
        ("qwen", "model-00002-of-*.safetensors", Path.unlink),
        ("qwen", "model.safetensors.index.json", garble),
        ("qwen", "model.safetensors.index.json", lambda path: path.write_text("[]")),
        ("qwen", "model.safetensors.index.json", lead_out),
        ("qwen", "tokenizer.json", nest),
        ("sd35", "tokenizer/tokenizer_config.json", nest),
        ("sd35", "model_index.json", nest),
        ("sd35", "model_index.json", swell),
        ("sd35", "vae/*-00001-of-*.safetensors", cut),
        ("sd35", "transformer/config.json", garble),
        ("sd35", "transformer/*-00001-of-*.safetensors", Path.unlink),
        ("sd35", "scheduler/scheduler_config.json", garble),
        ("sd35", "tokenizer/tokenizer_config.json", garble),
        ("sd35", "model_index.json", garble),
        ("sd35", "text_encoder_2/model.safetensors", Path.unlink),
    ],
)
def test_damage_is_found_and_the_file_named(
    models: Path, tmp_path: Path, name: str, file: str, harm: Callable[[Path], object]
) -> None:
    check_model(models / name)
    damaged = copy_model(models / name, tmp_path / name)
    (victim,) = damaged.glob(file)
    harm(victim)
    with pytest.raises(WeightsError) as caught:
        check_model(damaged)
    assert victim.name in str(caught.value) or str(victim.parent) == caught.value.item
    assert caught.value.remedy


def test_an_empty_folder_and_pickled_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no \*\.safetensors file"):
        check_model(tmp_path)
    (tmp_path / "model.bin").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"model\.bin: a pickled file"):
        check_model(tmp_path)


def test_a_check_needs_no_torch(models: Path) -> None:
    code = "import sys; from pathlib import Path; from cultureclip.models.weights.files import check_model\n"
    code += f"[check_model(Path({str(models)!r}) / n) for n in ('clip', 'qwen', 'sd35')]; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "False\n"


def write_gguf(path: Path, alignment: int | None = None) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    if alignment:
        writer.add_custom_alignment(alignment)
    writer.add_array("tokenizer.ggml.tokens", ["a", "ü", ""])
    writer.add_array("tokenizer.ggml.scores", [0.5, 1.5, 2.5])
    writer.add_bool("some.flag", True)
    writer.add_uint64("some.number", 2**40)
    writer.add_tensor("first", np.ones((3, 5), np.float32))
    blocks = np.ones((2, 34), np.uint8)  # Q8_0: 34 bytes hold 32 weights
    writer.add_tensor("packed", blocks, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("alignment", [None, 64])
def test_a_gguf_file_ends_where_the_librarys_reader_says(tmp_path: Path, alignment: int | None) -> None:
    path = write_gguf(tmp_path / "x.gguf", alignment)
    end = max(int(t.data_offset + t.n_bytes) for t in gguf.GGUFReader(path).tensors)
    content = path.read_bytes()
    path.write_bytes(content[:end])
    check_model(tmp_path, "x.gguf")
    path.write_bytes(content[: end - 1])
    with pytest.raises(WeightsError, match=rf"x\.gguf: {end - 1} bytes long, its header says {end}"):
        check_model(tmp_path, "x.gguf")
    with pytest.raises(WeightsError, match="no such weights file"):
        check_model(tmp_path, "y.gguf")


@settings(max_examples=200, deadline=None)
@given(place=st.integers(0, 250), value=st.integers(0, 255), length=st.integers(0, 400))
def test_a_damaged_gguf_header_ends_in_nothing_worse_than_the_error(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int, length: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.gguf"
    whole = write_gguf(path).read_bytes()
    content = bytearray(whole)
    content[place] = value
    path.write_bytes(content[:length] if length < len(content) // 2 else content)
    try:
        check_gguf(path)
    except WeightsError as error:
        assert error.remedy


def test_the_same_weights_are_known_in_a_copy_and_through_a_link(models: Path, tmp_path: Path) -> None:
    original = find_weights(models / "clip")
    copied = copy_model(models / "clip", tmp_path / "copy")
    config = copied / "open_clip_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()), indent=4))
    (tmp_path / "link").symlink_to(models / "clip")
    assert are_same_weights(original, find_weights(copied))
    assert are_same_weights(original, find_weights(tmp_path / "link"))
    assert are_same_weights(original, find_weights(copied / "open_clip_model.safetensors"))
    assert not are_same_weights(original, find_weights(write_tiny_clip(tmp_path / "other", seed=1)))
    assert not are_same_weights(find_weights(models / "qwen"), find_weights(models / "qwen")[:1])
    os.truncate(copied / "open_clip_model.safetensors", 100)
    assert not are_same_weights(original, find_weights(copied))
