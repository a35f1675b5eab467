"""The embedding pass: each thing once, kept by what made it, never stale."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from cultureclip.benchmarks import embeddings as module
from cultureclip.benchmarks.benchmark import ChoiceBenchmark
from cultureclip.benchmarks.embeddings import check_bases, embed_benchmarks, folder_fingerprint
from cultureclip.benchmarks.pocket import culture_benchmarks, read_references
from cultureclip.errors import ConfigurationError, WeightsError
from cultureclip.models.encoder import load_encoder
from tests.benchmarks.conftest import make_twins


@pytest.fixture(scope="module")
def benchmarks(flags: pd.DataFrame) -> list[ChoiceBenchmark]:
    twins = make_twins(flags, [("flag of ML", "flag of GN", "")])
    return culture_benchmarks(flags, twins, read_references(flags, 16))


@pytest.fixture(scope="module")
def model(tiny_model: Callable[[int], Path]) -> Path:
    return tiny_model(0)


def test_every_row_is_the_model_s_own_embedding(model: Path, benchmarks: list, tmp_path: Path) -> None:
    from PIL import Image

    found = embed_benchmarks(model, benchmarks, tmp_path)
    encoder = load_encoder(model)
    question = benchmarks[2].questions[0]
    pixels = Image.fromarray(benchmarks[2].images[question.image])
    image = encoder.encode_images([pixels])[0]
    np.testing.assert_allclose(found.images[found.image_rows[question.image]], image, atol=1e-6)
    texts = encoder.encode_texts(list(question.options))
    rows = [found.text_rows[text] for text in question.options]
    np.testing.assert_allclose(found.texts[rows], texts, atol=1e-6)


def test_a_second_pass_embeds_nothing_and_equals_the_first(
    model: Path, benchmarks: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = embed_benchmarks(model, benchmarks, tmp_path)
    monkeypatch.setattr(module, "_embed", lambda *_: pytest.fail("embedded again"))
    second = embed_benchmarks(model, benchmarks[::-1], tmp_path)
    for key, row in first.image_rows.items():
        np.testing.assert_array_equal(first.images[row], second.images[second.image_rows[key]])


def test_other_weights_and_other_questions_are_embedded_anew(
    model: Path, tiny_model: Callable[[int], Path], benchmarks: list, tmp_path: Path
) -> None:
    embed_benchmarks(model, benchmarks, tmp_path)
    embed_benchmarks(tiny_model(1), benchmarks, tmp_path)
    embed_benchmarks(model, benchmarks[:1], tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) == 3


def test_a_damaged_cache_is_named_and_made_again(
    model: Path, benchmarks: list, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = embed_benchmarks(model, benchmarks, tmp_path)
    (kept,) = tmp_path.glob("*.safetensors")
    kept.write_bytes(kept.read_bytes()[:-7])
    with caplog.at_level(logging.WARNING):
        second = embed_benchmarks(model, benchmarks, tmp_path)
    assert kept.name in caplog.text
    np.testing.assert_array_equal(first.images, second.images)


def test_embeddings_that_are_not_finite_are_an_error(
    tiny_model: Callable[[int], Path], benchmarks: list, tmp_path: Path
) -> None:
    folder = tiny_model(2)
    weights = folder / "open_clip_model.safetensors"
    state = load_file(weights)
    state["text_projection"] = torch.full_like(state["text_projection"], float("inf"))
    save_file(state, weights)
    with pytest.raises(WeightsError, match="texts have embeddings that are not finite"):
        embed_benchmarks(folder, benchmarks, tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))


def test_the_fingerprint_sees_every_file(tiny_model: Callable[[int], Path]) -> None:
    folder = tiny_model(3)
    before = folder_fingerprint(folder)
    tokenizer = next(p for p in sorted(folder.iterdir()) if "tokenizer" in p.name)
    tokenizer.write_bytes(tokenizer.read_bytes() + b" ")
    assert folder_fingerprint(folder) != before
    with pytest.raises(WeightsError, match="no model directory"):
        folder_fingerprint(folder / "absent")


def test_models_tuned_from_another_base_are_refused(model: Path) -> None:
    check_bases(model, {"cultureclip_s1": load_encoder(model).fingerprint})
    with pytest.raises(ConfigurationError, match="cultureclip_s2 was tuned from"):
        check_bases(model, {"cultureclip_s1": load_encoder(model).fingerprint, "cultureclip_s2": "other"})
