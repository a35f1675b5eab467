"""Both towers in onnxruntime: the embeddings of torch, from the same pixels and tokens."""

import json
import sys

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from cultureclip.clip.convert import main
from cultureclip.clip.export import onnx_format
from cultureclip.errors import ConfigurationError, StorageError, WeightsError
from cultureclip.models.encoder import CONFIG_NAME, load_encoder
from tests.support.tiny_clip import WORDS, write_tiny_clip

TEXTS = ["a red kimono", WORDS, "torii", "", "corn tortilla"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_tiny_clip(tmp_path_factory.mktemp("onnx") / "source", quick_gelu=True)


@pytest.fixture(scope="module")
def exported(source):
    assert main(["to-onnx", str(source), str(source.parent / "exported")]) == 0
    return source.parent / "exported"


def run(folder, name, **inputs):
    session = onnxruntime.InferenceSession(folder / name, providers=["CPUExecutionProvider"])
    return session.run(["embeddings"], inputs)[0]


@pytest.mark.parametrize("count", [1, 5])
def test_onnxruntime_computes_the_embeddings_of_torch(source, exported, count):
    encoder, read_back = load_encoder(source), load_encoder_parts(exported)
    rng = np.random.default_rng(count)
    pictures = [Image.fromarray(rng.integers(0, 255, (30, 20, 3)).astype(np.uint8)) for _ in range(count)]
    pixels = torch.stack([read_back.preprocess(picture) for picture in pictures])
    tokens = read_back.tokenizer(TEXTS[:count])
    np.testing.assert_allclose(
        run(exported, "image.onnx", pixels=pixels.numpy()), encoder.encode_images(pictures), rtol=0, atol=1e-5
    )
    np.testing.assert_allclose(
        run(exported, "text.onnx", tokens=tokens.numpy()), encoder.encode_texts(TEXTS[:count]), rtol=0, atol=1e-5
    )


def load_encoder_parts(folder):
    """Preprocessing and tokenizer of the exported folder, which has no weights of torch."""
    import open_clip

    encoder = load_encoder(folder.parent / "source")
    assert json.loads((folder / CONFIG_NAME).read_text()) == json.loads((encoder.source / CONFIG_NAME).read_text())
    encoder.tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    return encoder


def test_a_graph_that_computes_something_else_is_refused_and_leaves_no_folder(source, tmp_path, monkeypatch):
    export = onnx_format._export

    def export_another(tower, *arguments):
        with torch.no_grad():
            tower.model.visual.proj.mul_(-1)
            export(tower, *arguments)
            tower.model.visual.proj.mul_(-1)

    monkeypatch.setattr(onnx_format, "_export", export_another)
    with pytest.raises(WeightsError, match=r"pixels: onnxruntime differs from torch by \d"):
        onnx_format.to_onnx(source, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_nothing_is_begun(source, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ConfigurationError, match=r"cultureclip\[onnx\]"):
        onnx_format.to_onnx(source, tmp_path / "out")
    assert main(["to-onnx", str(source), str(tmp_path / "out")]) == 1
    assert "onnxscript" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_kept(source, exported):
    before = {file.name: file.read_bytes() for file in exported.iterdir()}
    with pytest.raises(StorageError, match="exists already"):
        onnx_format.to_onnx(source, exported)
    assert {file.name: file.read_bytes() for file in exported.iterdir()} == before
