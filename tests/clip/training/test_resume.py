"""A training that is stopped anywhere ends as if it had not been, or says why it cannot."""

import errno
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cultureclip.clip.settings import AugmentationSettings, LaunchSettings
from cultureclip.clip.training import trainer as trainer_module
from cultureclip.clip.training.keys import training_key
from cultureclip.clip.training.trainer import Trainer
from cultureclip.errors import StorageError, TrainingError
from cultureclip.ids import digest
from cultureclip.models.weights.checkpoint import load_tensors
from tests.clip.conftest import general_pairs, make_rows
from tests.clip.trainings import SETTINGS, same, train, with_trainer


@pytest.mark.parametrize("stop", [0, 2, 4, 5, 8, 9])
def test_stopped_anywhere_and_restarted_gives_the_same_bits(undisturbed, base_folder, tmp_path, monkeypatch, stop):
    real = Trainer._step

    def stopping(self, optimizer, step):
        if step == stop:
            raise KeyboardInterrupt
        return real(self, optimizer, step)

    monkeypatch.setattr(Trainer, "_step", stopping)
    with pytest.raises(KeyboardInterrupt):
        train(*make_rows(), base_folder, tmp_path / "stopped")
    monkeypatch.setattr(Trainer, "_step", real)
    checkpoint, log = train(*make_rows(), base_folder, tmp_path / "stopped")
    assert same(checkpoint.adapter, undisturbed[0].adapter)
    assert checkpoint.card == undisturbed[0].card
    timeless = [[{k: v for k, v in row.items() if k != "twins_per_second"} for row in r] for r in (log, undisturbed[1])]
    assert timeless[0] == timeless[1]


@pytest.mark.parametrize("place", ["write_log", "save_training_state", "save_atomically"])
def test_stopped_between_two_files_and_restarted_gives_the_same_bits(
    undisturbed, base_folder, tmp_path, monkeypatch, place
):
    """The second dev evaluation is cut off after some of its three files are written."""
    real, calls = getattr(trainer_module, place), []

    def stopping(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    settings = with_trainer(select_by="last")  # saves the best state at every look
    expected, _ = train(*make_rows(), base_folder, tmp_path / "whole", settings=settings)
    monkeypatch.setattr(trainer_module, place, stopping)
    with pytest.raises(KeyboardInterrupt):
        train(*make_rows(), base_folder, tmp_path / "stopped", settings=settings)
    monkeypatch.setattr(trainer_module, place, real)
    checkpoint, _ = train(*make_rows(), base_folder, tmp_path / "stopped", settings=settings)
    assert same(checkpoint.adapter, expected.adapter)


def test_killed_process_and_restart_give_the_same_bits(undisturbed, base_folder, tmp_path):
    script = f"""
        import os, signal, torch
        from pathlib import Path
        torch.set_num_threads(1)
        from cultureclip.clip.training.trainer import Trainer
        from tests.clip.conftest import make_rows
        from tests.clip.trainings import train
        real = Trainer._step
        def step(self, optimizer, number):
            if number == 6:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(self, optimizer, number)
        Trainer._step = step
        train(*make_rows(), Path({str(base_folder)!r}), {str(tmp_path / "killed")!r})
    """
    root = Path(__file__).parents[3]
    paths = os.pathsep.join([str(root), str(root / "src")])
    environment = os.environ | {"PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], env=environment, capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert list((tmp_path / "killed").glob("*/state.safetensors"))
    checkpoint, _ = train(*make_rows(), base_folder, tmp_path / "killed")
    assert same(checkpoint.adapter, undisturbed[0].adapter)


def test_a_finished_training_is_taken_as_it_is(undisturbed, base_folder, tmp_path, monkeypatch):
    rows, images = make_rows()
    monkeypatch.setattr(Trainer, "run", lambda self: pytest.fail("trained again"))
    checkpoint, log = train(rows.sample(frac=1, random_state=0), images, base_folder, tmp_path / "undisturbed")
    assert same(checkpoint.adapter, undisturbed[0].adapter) and log == undisturbed[1]
    assert images.reads == 0


def test_key_follows_everything_that_matters():
    rows, images = make_rows()
    other = rows.assign(pos_caption=["changed", *rows["pos_caption"][1:]])
    mirroring = SETTINGS.model_copy(update={"augmentation": AugmentationSettings(mirror=0.5)})
    (_, changed), repainted, taco = make_rows(), general_pairs(), digest("taco")
    for pictures in (changed.data, repainted.pictures.data):
        pictures[min(pictures)] = pictures[max(pictures)]

    def key(rows=rows, images=images, general=None, base="f", objective="clip", seed=1, settings=SETTINGS, mirrored=()):
        return training_key(rows, images, general, base, objective, seed, settings, mirrored)

    keys = {
        key(),
        key(rows=other),
        key(images=changed),
        key(base="g"),
        key(objective="negclip"),
        key(seed=2),
        key(settings=with_trainer(lr=0.02)),
        key(settings=with_trainer(device="cuda")),
        key(general=general_pairs()),
        key(general=repainted),
        key(settings=mirroring),
        key(settings=mirroring, mirrored={taco}),
    }
    assert len(keys) == 12
    assert key(rows=rows[::-1]) in keys
    assert key(mirrored={taco}) in keys  # nothing is mirrored
    assert key(settings=mirroring, mirrored={taco, "a concept that is not trained on"}) in keys


def test_key_is_silent_about_what_cannot_change_the_outcome():
    def key(settings):
        return training_key(*make_rows(), None, "f", "clip", 1, settings)

    assert key(with_trainer(tracker="tensorboard")) == key(SETTINGS)
    assert key(with_trainer(device="cuda:5")) == key(with_trainer(device="cuda:3"))
    meeting = {"nodes": 2, "rendezvous": "head:29400"}
    here, there = (LaunchSettings(**meeting | changes) for changes in ({}, {"rendezvous": "head:2", "backend": "nccl"}))
    assert key(SETTINGS.model_copy(update={"launch": here})) == key(SETTINGS.model_copy(update={"launch": there}))
    here, there = (LaunchSettings(processes=2, **changes) for changes in ({}, {"kind": "ray", "cluster": "auto"}))
    assert key(SETTINGS.model_copy(update={"launch": here})) == key(SETTINGS.model_copy(update={"launch": there}))


def test_early_stop_ends_the_same_after_a_kill(base_folder, tmp_path, monkeypatch):
    settings = with_trainer(steps=200, eval_every=2, lr=0.2, patience=2)
    whole, log = train(*make_rows(), base_folder, tmp_path / "whole", settings=settings)
    assert 2 < log[-1]["step"] < 200 and whole.card.step < log[-1]["step"]
    real = trainer_module.ran_out_of_patience

    def killed(rows, *rest):
        if real(rows, *rest):
            raise KeyboardInterrupt
        return False

    monkeypatch.setattr(trainer_module, "ran_out_of_patience", killed)
    with pytest.raises(KeyboardInterrupt):
        train(*make_rows(), base_folder, tmp_path / "cut", settings=settings)
    monkeypatch.setattr(trainer_module, "ran_out_of_patience", real)
    again, second = train(*make_rows(), base_folder, tmp_path / "cut", settings=settings)
    assert same(again.adapter, whole.adapter) and second[-1]["step"] == log[-1]["step"]


def cut(path):
    path.write_bytes(path.read_bytes()[:-30])


def rewrite(tensors, metadata):
    return lambda path: save_file(tensors, path, metadata)


@pytest.mark.parametrize(
    ("file", "damage", "cause"),
    [
        ("state.safetensors", cut, "not a whole safetensors file"),
        ("state.safetensors", rewrite({"model.x": torch.zeros(2)}, {"step": "8"}), "not a state of this training"),
        ("state.safetensors", rewrite({"model.x": torch.zeros(2)}, {}), "not a state of this training"),
        ("best.safetensors", cut, "not a whole safetensors file"),
        ("best.safetensors", Path.unlink, "no such weights file"),
        ("log.jsonl", cut, "not a whole log"),
        ("log.jsonl", Path.unlink, "not a whole log"),
        ("log.jsonl", lambda path: path.write_text("[]\n[]\n"), "not a whole log"),
        ("log.jsonl", lambda path: path.write_text('{"step": 0}\n{"step": 4}\n'), "no row for step 8"),
    ],
)
def test_a_damaged_training_state_stops_before_a_step(base_folder, tmp_path, monkeypatch, file, damage, cause):
    def stopping(self, optimizer, step):
        if step == 9:
            raise KeyboardInterrupt
        return 1.0, 1.0

    monkeypatch.setattr(Trainer, "_step", stopping)
    with pytest.raises(KeyboardInterrupt):
        train(*make_rows(), base_folder, tmp_path)
    damage(next(tmp_path.glob(f"*/{file}")))
    monkeypatch.setattr(Trainer, "_step", lambda *_: pytest.fail("went on"))
    with pytest.raises(TrainingError, match=rf"{file}: .*{cause}.*Remove the folder") as caught:
        train(*make_rows(), base_folder, tmp_path)
    assert str(tmp_path) in caught.value.item


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("")])
def test_a_finished_training_without_its_log_says_so(undisturbed, base_folder, tmp_path, damage):
    damage(next(tmp_path.glob("*/*/log.jsonl")))
    with pytest.raises(TrainingError, match=r"log.jsonl: not a whole log.*Remove the folder"):
        train(*make_rows(), base_folder, tmp_path / "undisturbed")


def test_of_two_trainings_of_one_thing_at_once_the_second_takes_the_result_of_the_first(
    undisturbed, base_folder, tmp_path, monkeypatch, caplog
):
    real, runs = Trainer.run, []

    def counted(self):
        runs.append(self)
        while "Waiting for it" not in caplog.text:  # the second is there
            time.sleep(0.01)
        return real(self)

    monkeypatch.setattr(Trainer, "run", counted)
    with caplog.at_level("INFO"), ThreadPoolExecutor(2) as pool:
        both = [pool.submit(train, *make_rows(), base_folder, tmp_path / "both") for _ in range(2)]
    assert all(same(done.result()[0].adapter, undisturbed[0].adapter) for done in both)
    assert len(runs) == 1


@pytest.mark.parametrize("when", [1, 5, 9, 13, 17, 21])
def test_a_training_that_met_a_full_disk_goes_on_when_there_is_room(
    undisturbed, base_folder, tmp_path, monkeypatch, when
):
    real, flushed, steps = os.fsync, [], []

    def full(descriptor):
        flushed.append(descriptor)
        if len(flushed) >= when:  # from here on, whatever is written
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"No space left on device.*Free disk space"):
        train(*make_rows(), base_folder, tmp_path / "full")
    monkeypatch.setattr(os, "fsync", real)
    step, saved = Trainer._step, list((tmp_path / "full").glob("*/state.safetensors"))
    monkeypatch.setattr(Trainer, "_step", lambda self, *given: steps.append(given[-1]) or step(self, *given))
    checkpoint, _ = train(*make_rows(), base_folder, tmp_path / "full")
    assert same(checkpoint.adapter, undisturbed[0].adapter)
    assert checkpoint.card == undisturbed[0].card
    assert not list((tmp_path / "full").rglob("*.tmp"))
    assert (steps[0] > 0) == bool(saved), "it starts over where there is a state"


def test_a_training_whose_state_was_cut_short_by_a_full_disk_goes_on(undisturbed, base_folder, tmp_path, monkeypatch):
    """The system itself refuses the bytes, in the middle of the second training state."""
    real, before = Trainer._step, resource.getrlimit(resource.RLIMIT_FSIZE)

    def limited(self, optimizer, step):
        if step == 6:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        return real(self, optimizer, step)

    monkeypatch.setattr(Trainer, "_step", limited)
    try:
        with pytest.raises(StorageError, match="File too large"):
            train(*make_rows(), base_folder, tmp_path / "full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    first = []
    monkeypatch.setattr(Trainer, "_step", lambda self, *given: first.append(given[-1]) or real(self, *given))
    checkpoint, _ = train(*make_rows(), base_folder, tmp_path / "full")
    assert first[0] == 4, "it goes on from the state that was saved while there was room"
    assert same(checkpoint.adapter, undisturbed[0].adapter)


def test_tensorboard_shows_the_log_without_what_a_resume_withdraws(base_folder, tmp_path, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    real = trainer_module.save_training_state
    settings = with_trainer(tracker="tensorboard")

    def stopping(path, model, optimizer, step):
        if step == 8:
            raise KeyboardInterrupt
        real(path, model, optimizer, step)

    monkeypatch.setattr(trainer_module, "save_training_state", stopping)
    with pytest.raises(KeyboardInterrupt):
        train(*make_rows(), base_folder, tmp_path, settings=settings)
    monkeypatch.setattr(trainer_module, "save_training_state", real)
    _, log = train(*make_rows(), base_folder, tmp_path, settings=settings)
    events = EventAccumulator(str(next(tmp_path.glob("*/events"))))
    events.Reload()
    shown = [(e.step, pytest.approx(e.value, rel=1e-5)) for e in events.Scalars("dev_loss")]
    assert shown == [(row["step"], row["dev_loss"]) for row in log[1:]]


def test_leftovers_are_gone_and_result_is_whole(undisturbed, tmp_path):
    folder = next((tmp_path / "undisturbed").glob("*/adapter.safetensors")).parent
    assert sorted(p.name for p in folder.iterdir() if p.name != ".lock") == ["adapter.safetensors", "log.jsonl"]
    assert same(load_tensors(folder / "adapter.safetensors")[0], undisturbed[0].adapter)
