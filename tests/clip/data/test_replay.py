"""General pairs in training: what they hold the model to, exact resume with them, bad input."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cultureclip.clip.contracts import GeneralPairs
from cultureclip.clip.data import replay as replay_module
from cultureclip.clip.data.replay import Replay, prepare_replay
from cultureclip.clip.lora.adapter import LoraAdapter
from cultureclip.clip.settings import ReplaySettings
from cultureclip.clip.training.trainer import Trainer
from cultureclip.errors import TrainingError
from tests.clip.conftest import PngImages, general_pairs, make_rows
from tests.clip.trainings import SETTINGS, same, train, with_trainer

REPLAY = with_trainer(steps=30, lr=0.02, select_by="last").model_copy(update={"replay": ReplaySettings(batch=6)})


def test_prepared_pairs_hold_the_bases_own_embeddings(encoder):
    general = general_pairs()
    replay = prepare_replay(general, encoder, "error")
    ids = sorted(general.texts)
    np.testing.assert_allclose(replay.images, encoder.encode_images(general.pictures.read(ids)), atol=1e-5)
    np.testing.assert_allclose(replay.texts, encoder.encode_texts([general.texts[i] for i in ids]), atol=1e-5)
    LoraAdapter(encoder.model, SETTINGS.lora)
    adapted = prepare_replay(general, encoder, "error")
    torch.testing.assert_close(adapted.images, replay.images)


def test_embeddings_are_computed_once_for_a_base_and_its_pairs(encoder, tmp_path, monkeypatch):
    first = prepare_replay(general_pairs(), encoder, "error", tmp_path)
    whole = prepare_replay(general_pairs(), encoder, "error")
    assert torch.equal(first.images, whole.images) and torch.equal(first.texts, whole.texts)
    monkeypatch.setattr(replay_module, "encode_image", lambda *_: pytest.fail("embedded again"))
    again = prepare_replay(general_pairs(), encoder, "error", tmp_path)
    assert torch.equal(again.images, first.images) and torch.equal(again.texts, first.texts)
    for other in (
        (general_pairs(), replace(encoder, fingerprint="another base")),
        (GeneralPairs({i: text + "!" for i, text in general_pairs().texts.items()}, general_pairs().pictures), encoder),
    ):
        with pytest.raises(pytest.fail.Exception):
            prepare_replay(*other, "error", tmp_path)


@pytest.mark.parametrize("place", [-1, 200])
def test_damaged_embeddings_are_named_and_made_anew(encoder, tmp_path, caplog, place):
    first = prepare_replay(general_pairs(), encoder, "error", tmp_path)
    path = next(tmp_path.glob("*.safetensors"))
    content = bytearray(path.read_bytes())
    if place == -1:
        content[-1] ^= 1
    path.write_bytes(content[: None if place == -1 else place])
    again = prepare_replay(general_pairs(), encoder, "error", tmp_path)
    assert torch.equal(again.images, first.images) and torch.equal(again.texts, first.texts)
    assert sum(path.name in message and "again" in message for message in caplog.messages) == 1


@pytest.mark.parametrize("cached", [True, False])
def test_saved_pairs_are_the_same_in_another_process(encoder, tmp_path, cached):
    replay = prepare_replay(general_pairs(), encoder, "error", tmp_path / "cache" if cached else None)
    replay.save(tmp_path / "job")
    loaded = Replay.load(tmp_path / "job", encoder)
    rows = torch.tensor([4, 0, 4])
    assert torch.equal(loaded.pixels_of(rows), replay.pixels_of(rows)) and replay.pixels_of(rows).shape == (
        3,
        3,
        16,
        16,
    )
    assert all(torch.equal(getattr(loaded, name), getattr(replay, name)) for name in ("tokens", "images", "texts"))


def test_replay_keeps_similarities_on_general_pairs_near_the_bases(base_folder, encoder, tmp_path):
    def drift(weight: float) -> float:
        settings = REPLAY.model_copy(update={"replay": ReplaySettings(batch=6, weight=weight)})
        checkpoint, _ = train(
            *make_rows(), base_folder, tmp_path / str(weight), settings=settings, general=general_pairs()
        )
        adapter = LoraAdapter(encoder.model, settings.lora, seed=3)
        adapter.load(checkpoint.adapter)
        tuned = prepare_replay(general_pairs(), encoder, "error")
        adapter.remove()
        base = prepare_replay(general_pairs(), encoder, "error")
        return float((tuned.images @ tuned.texts.T - base.images @ base.texts.T).abs().mean())

    assert drift(50.0) < 0.7 * drift(0.0)


def test_resume_with_replay_gives_the_same_bits(base_folder, tmp_path, monkeypatch):
    settings = with_trainer().model_copy(update={"replay": ReplaySettings(batch=3)})
    whole, _ = train(*make_rows(), base_folder, tmp_path / "whole", settings=settings, general=general_pairs())
    real = Trainer._step

    def stopping(self, optimizer, step):
        if step == 6:
            raise KeyboardInterrupt
        return real(self, optimizer, step)

    monkeypatch.setattr(Trainer, "_step", stopping)
    with pytest.raises(KeyboardInterrupt):
        train(*make_rows(), base_folder, tmp_path / "cut", settings=settings, general=general_pairs())
    monkeypatch.setattr(Trainer, "_step", real)
    resumed, _ = train(*make_rows(), base_folder, tmp_path / "cut", settings=settings, general=general_pairs())
    without, _ = train(*make_rows(), base_folder, tmp_path / "without", settings=with_trainer())
    assert same(resumed.adapter, whole.adapter)
    assert not same(without.adapter, whole.adapter)


def test_an_unreadable_or_empty_source_stops_and_names_what(encoder):
    broken = GeneralPairs({"p1": "a"}, PngImages({"p1": b"not a picture"}))
    with pytest.raises(TrainingError, match=r"1 of 1 pictures cannot be read \['p1'\]"):
        prepare_replay(broken, encoder, "error")
    with pytest.raises(TrainingError, match=r"0 of 0 pictures.*train.replay.batch"):
        prepare_replay(GeneralPairs({}, PngImages({})), encoder, "error")
