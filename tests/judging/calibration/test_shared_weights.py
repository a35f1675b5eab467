"""Which models have weights in common."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from cultureclip.errors import WeightsError
from cultureclip.judging.calibration.shared_weights import find_shared
from cultureclip.models.settings import ModelFiles


def write(folder, tensors):
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    return ModelFiles(path=str(folder))


def matrix(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_copy_under_another_name_is_the_same_model(judge_path, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(judge_path, copy)
    (copy / "open_clip_config.json").write_text("{}")  # what is beside the weights does not matter
    changed = {name: tensor + 1e-3 for name, tensor in load_file(judge_path / "open_clip_model.safetensors").items()}
    models = {name: ModelFiles(path=str(path)) for name, path in {"judge": judge_path, "miner": copy}.items()}
    models["trainee"] = write(tmp_path / "other", changed)
    assert find_shared(models) == [{"parts": ["judge", "miner"], "share": 1.0}]
    assert find_shared({}) == []


def test_a_tower_that_was_taken_over_is_found_under_any_name(tmp_path):
    tower, own = matrix(0, 8, 8), matrix(1, 8, 16)
    small = write(tmp_path / "small", {"visual.proj": tower, "text.proj": own})
    large = write(tmp_path / "large", {"vision_tower.proj": tower.clone(), "language": matrix(2, 64, 64)})
    (pair,) = find_shared({"small": small, "large": large})
    assert pair == {"parts": ["large", "small"], "share": pytest.approx(64 / 192)}


def test_what_all_models_begin_with_is_not_shared(tmp_path):
    """Vectors of ones and zeros, and matrices of zeros, are alike in models that have nothing to do with each other."""
    same = {"norm.weight": torch.ones(8), "lora_b": torch.zeros(4, 8)}
    models = {name: write(tmp_path / name, {**same, "w": matrix(seed, 8, 8)}) for seed, name in enumerate("ab")}
    assert find_shared(models) == []


def test_a_gguf_file_counts_as_one(tmp_path):
    (tmp_path / "a.gguf").write_bytes(b"weights")
    (tmp_path / "b.gguf").write_bytes(b"weights")
    models = {name: ModelFiles(path=str(tmp_path), gguf_file=f"{name}.gguf") for name in ("a", "b")}
    assert find_shared(models) == [{"parts": ["a", "b"], "share": 1.0}]
    with pytest.raises(WeightsError, match=r"c\.gguf: no such file"):
        find_shared({"c": ModelFiles(path=str(tmp_path), gguf_file="c.gguf")})
