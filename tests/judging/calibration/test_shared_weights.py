"""Which roles are played by the same weights."""

import shutil

import pytest

from cultureclip.errors import WeightsError
from cultureclip.judging.calibration.shared_weights import find_shared
from cultureclip.models.settings import ModelFiles


def test_a_copy_under_another_name_is_the_same_model(judge_path, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(judge_path, copy)
    (copy / "open_clip_config.json").write_text("{}")  # what is beside the weights does not matter
    other = tmp_path / "other"
    shutil.copytree(judge_path, other)
    file = next(other.glob("*.safetensors"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    paths = {"judge": judge_path, "trainee": other, "miner": copy}
    roles = {name: ModelFiles(path=str(path)) for name, path in paths.items()}
    assert find_shared(roles) == [["judge", "miner"]]
    assert find_shared({name: roles[name] for name in ("judge", "trainee")}) == []
    assert find_shared({}) == []


def test_a_gguf_file_is_named(tmp_path):
    (tmp_path / "a.gguf").write_bytes(b"weights")
    (tmp_path / "b.gguf").write_bytes(b"weights")
    roles = {name: ModelFiles(path=str(tmp_path), gguf_file=f"{name}.gguf") for name in ("a", "b")}
    assert find_shared(roles) == [["a", "b"]]
    with pytest.raises(WeightsError, match=r"c\.gguf: no such file"):
        find_shared({"c": ModelFiles(path=str(tmp_path), gguf_file="c.gguf")})
