"""Pickled weights are refused wherever they lie, and the command that the error names makes files that load."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from cultureclip.errors import WeightsError
from cultureclip.models.encoder import WEIGHTS_NAME, load_encoder
from cultureclip.models.weights.checkpoint import load_tensors
from cultureclip.models.weights.files import check_model
from cultureclip.models.weights.pickled_files import is_pickle
from cultureclip.models.weights.pickles import convert_pickle, main
from tests.support.tiny_clip import write_tiny_clip


def write_training_file(weights: Path, path: Path) -> None:
    """What open_clip's training saves on several GPUs, and no safetensors beside it."""
    state = {f"module.{name}": tensor for name, tensor in load_file(weights).items()}
    moments = {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-3, "params": [0]}]}
    torch.save({"epoch": 3, "name": "run", "state_dict": state, "optimizer": moments}, path)


def run_remedy(error: WeightsError) -> None:
    command = shlex.split(error.remedy.partition("convert it: ")[2])
    assert command[0] == "python"
    subprocess.run([sys.executable, *command[1:]], check=True, env=os.environ | {"HF_HUB_OFFLINE": "1"})


def test_the_remedy_makes_a_model_directory_whole(tmp_path: Path) -> None:
    whole = write_tiny_clip(tmp_path / "whole")
    trained = Path(shutil.copytree(whole, tmp_path / "my run"))
    write_training_file(whole / WEIGHTS_NAME, trained / "epoch_3.pt")
    (trained / WEIGHTS_NAME).unlink()
    torch.save({"lr": torch.ones(1)}, trained / "an_optimizer.pt")
    with pytest.raises(WeightsError, match=r"epoch_3\.pt: a pickled file") as caught:
        check_model(trained)
    run_remedy(caught.value)
    check_model(trained)
    texts = ["a red kimono"]
    np.testing.assert_array_equal(load_encoder(trained).encode_texts(texts), load_encoder(whole).encode_texts(texts))


@pytest.mark.parametrize("read", [check_model, load_tensors])
def test_the_remedy_converts_a_bare_file(tmp_path: Path, read: object) -> None:
    whole = write_tiny_clip(tmp_path / "whole")
    path = tmp_path / "epoch_3.pt"
    write_training_file(whole / WEIGHTS_NAME, path)
    with pytest.raises(WeightsError, match=r"epoch_3\.pt: a pickled file") as caught:
        read(path)
    run_remedy(caught.value)
    converted, expected = load_file(tmp_path / "epoch_3.safetensors"), load_file(whole / WEIGHTS_NAME)
    assert converted.keys() == expected.keys()
    assert all(torch.equal(converted[name], expected[name]) for name in expected)


@pytest.mark.filterwarnings("ignore:.*TorchScript")
def test_what_holds_more_than_tensors_is_not_unpickled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "x.pt", tmp_path / "x.safetensors"
    for held, cause in ((torch.nn.Linear(2, 2), "more than tensors"), ([torch.ones(1)], "no tensors by name")):
        torch.save(held, source)
        with pytest.raises(WeightsError, match=cause):
            convert_pickle(source, target)
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), source)  # as OpenAI's own files are
    assert main([str(source), str(target)]) == 1
    assert "more than tensors" in capsys.readouterr().err
    assert not target.exists()


def test_a_safetensors_file_whose_header_is_640_bytes_long_is_no_pickle(tmp_path: Path) -> None:
    """The length stands first: 640 is 0x0280, with which old pickles begin."""
    path = tmp_path / "x.safetensors"
    for length in range(1000):
        save_file({"a": torch.ones(1)}, path, {"note": "x" * length})
        if path.read_bytes()[:2] == b"\x80\x02":
            break
    assert path.read_bytes()[:2] == b"\x80\x02"
    assert not is_pickle(path)
    check_model(path)
