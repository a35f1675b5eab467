"""What stops a training, or keeps it from starting, and what it then says."""

import json

import pytest
import torch
from pydantic import ValidationError
from safetensors import SafetensorError

from cultureclip.clip.data.batches import draw_rows
from cultureclip.clip.settings import (
    ReplaySettings,
    RunSettings,
)
from cultureclip.clip.training import step as step_module
from cultureclip.clip.training.trainer import FAULT_NAME, Trainer
from cultureclip.errors import ConfigurationError, StorageError, TrainingError, WeightsError
from cultureclip.models.weights import checkpoint as checkpoint_module
from tests.clip.conftest import general_pairs, make_rows
from tests.clip.trainings import SETTINGS, same, train, with_trainer


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"as_released": (2,)}, "needs a trainer.chunk"),
        ({"as_released": (6,)}, "as_released"),
        ({"objective": {"as_released": (1,)}}, "beside objective, not in it"),
        ({"launch": {"processes": 3}}, "trainer.batch 4 is not a multiple of 3 processes"),
        ({"launch": {"nodes": 2}}, "nodes and rendezvous belong together"),
        ({"launch": {"processes": 2, "backend": "nccl"}}, "nccl needs trainer.device cuda, not cpu"),
        ({"launch": {"processes": 2}, "trainer": {"device": "cuda:1"}}, "cuda:1 is one for 2 processes: write cuda"),
        (
            {"objective": {"multi_positive": True}, "as_released": (5,)},
            "multi_positive cannot be had with as_released 5",
        ),
        (
            {"objective": {"multi_positive": True}, "as_released": "all", "trainer": {"chunk": 2}},
            "multi_positive cannot",
        ),
        ({"trainer": {"warmup_steps": 10}}, "warmup_steps 10 of 10 steps: the rate would not fall; set fewer"),
        ({"trainer": {"patience": 2, "select_by": "last"}}, "patience needs a figure"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes, cause):
    merged = SETTINGS.model_dump()
    for key, value in changes.items():
        merged[key] = {**merged[key], **value} if isinstance(value, dict) else value
    with pytest.raises(ValidationError, match=cause):
        RunSettings.model_validate(merged)


def test_loss_that_is_not_finite_stops_and_names_the_rows(base_folder, tmp_path, monkeypatch):
    rows, images = make_rows()
    monkeypatch.setattr(
        step_module, "embed_image_pooled", lambda model, pixels: torch.full((len(pixels), 24), torch.nan)
    )
    with pytest.raises(TrainingError, match="step 0: the loss is nan"):
        train(rows, images, base_folder, tmp_path)
    fault = json.loads(next(tmp_path.glob(f"*/{FAULT_NAME}")).read_text())
    assert len(fault["row_ids"]) == 4 and set(fault["row_ids"]) <= set(rows["row_id"])


def test_a_gradient_that_is_not_finite_stops_before_it_reaches_the_weights(base_folder, tmp_path, monkeypatch):
    """The loss of that step is finite: one step later it would be too late, and other rows would be named."""
    real, steps = torch.nn.utils.clip_grad_norm_, []

    def spoiled(parameters, most):
        steps.append(parameters := list(parameters))
        if len(steps) == 3:
            parameters[0].grad.fill_(torch.nan)
        return real(parameters, most)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", spoiled)
    with pytest.raises(TrainingError, match="step 2: the gradient's norm is nan"):
        train(*make_rows(), base_folder, tmp_path)
    fault = json.loads(next(tmp_path.glob(f"*/{FAULT_NAME}")).read_text())
    rows = make_rows()[0].query("split == 'train'").sort_values("row_id")["row_id"].tolist()
    assert fault["row_ids"] == [rows[place] for place in draw_rows(12, 4, 3, 2).tolist()]
    assert all(torch.isfinite(p).all() for p in steps[-1])


def test_a_loss_from_which_nothing_can_be_learned_stops(base_folder, tmp_path):
    settings = SETTINGS.model_copy(update={"as_released": (4,)})
    with pytest.raises(TrainingError, match=r"Clip: its loss is a constant.*Leave 4 out"):
        train(*make_rows(), base_folder, tmp_path, objective="clip", settings=settings)


def test_a_disk_that_cannot_be_written_is_named(base_folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file.*Not a directory.*work_dir"):
        train(*make_rows(), base_folder, tmp_path / "file")

    def full(tensors, path, metadata):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoint_module, "save_file", full)
    with pytest.raises(StorageError, match=r"best.safetensors: cannot be written .*No space left.*Free disk space"):
        train(*make_rows(), base_folder, tmp_path / "full")
    assert not list(tmp_path.glob("full/*/*.tmp"))


def test_settings_that_would_do_nothing_are_refused(base_folder, tmp_path):
    with pytest.raises(ConfigurationError, match=r"trainer.patience: there are no dev twins"):
        train(*make_rows(12, 0), base_folder, tmp_path, settings=with_trainer(patience=1))
    settings = SETTINGS.model_copy(update={"replay": ReplaySettings(batch=2)})
    with pytest.raises(ConfigurationError, match=r"replay.batch: there are no general pairs"):
        train(*make_rows(), base_folder, tmp_path, settings=settings)


def test_pairs_that_are_not_replayed_change_nothing(undisturbed, base_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "run", lambda self: pytest.fail("trained again"))
    again, _ = train(*make_rows(), base_folder, tmp_path / "undisturbed", general=general_pairs())
    assert same(again.adapter, undisturbed[0].adapter)


def test_one_twin_that_is_left_of_several_is_refused(base_folder, tmp_path):
    rows, images = make_rows(2, 2)
    images.data[rows["pos_image_id"][0]] = b"no picture"
    with pytest.raises(TrainingError, match="1 twins in 1 readable training rows of 2"):
        train(rows, images, base_folder, tmp_path, settings=with_trainer(max_unreadable_share=0.5))


@pytest.mark.parametrize(
    ("train_rows", "counts"), [(0, "0 twins in 0 training rows"), (1, "1 twins in 1 training rows")]
)
def test_empty_and_one_twin_splits_are_refused_with_counts(base_folder, tmp_path, train_rows, counts):
    with pytest.raises(TrainingError, match=rf"{counts} \(2 dev rows"):
        train(*make_rows(train_rows, 2), base_folder, tmp_path)


def test_wrong_names_stop_before_any_work(base_folder, tmp_path):
    rows, images = make_rows()
    with pytest.raises(ConfigurationError, match="cultureclip"):
        train(rows, images, base_folder, tmp_path, objective="nope")
    with pytest.raises(WeightsError):
        train(rows, images, tmp_path / "nothing", tmp_path)
    assert images.reads == 0
