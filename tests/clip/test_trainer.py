import json
import math
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import save_file

from cultureclip.clip import step as step_module
from cultureclip.clip import trainer as trainer_module
from cultureclip.clip.batches import draw_rows, make_batch, prepare
from cultureclip.clip.curves import loss_curves, training_metrics
from cultureclip.clip.distributed import Group
from cultureclip.clip.lora import LoraAdapter
from cultureclip.clip.losses import OBJECTIVES, build_objective
from cultureclip.clip.runs import train_adapter, training_key
from cultureclip.clip.settings import (
    AugmentationSettings,
    LoraSettings,
    ObjectiveSettings,
    ReplaySettings,
    RunSettings,
    TrainerSettings,
)
from cultureclip.clip.step import TwinLoss
from cultureclip.clip.towers import embed_image, embed_text
from cultureclip.clip.trainer import FAULT_NAME, Trainer, learning_rate
from cultureclip.clip.training_log import best_row, ran_out_of_patience
from cultureclip.errors import ConfigurationError, StorageError, TrainingError, WeightsError
from cultureclip.models import checkpoint as checkpoint_module
from cultureclip.models.checkpoint import load_tensors
from tests.clip.conftest import general_pairs, make_rows

SETTINGS = RunSettings(
    lora=LoraSettings(rank=2, alpha=4, dropout=0.2),
    trainer=TrainerSettings(steps=10, batch=4, lr=0.01, warmup_steps=2, eval_every=4),
)
CARD = {"base": "tiny"}


def train(rows, images, base, work, objective="cultureclip", seed=3, settings=SETTINGS, general=None):
    return train_adapter(
        rows,
        images,
        general,
        base,
        card=CARD,
        name=f"{objective}_s{seed}",
        objective=objective,
        seed=seed,
        settings=settings,
        work_dir=Path(work),
    )


def with_trainer(**changes):
    return SETTINGS.model_copy(update={"trainer": SETTINGS.trainer.model_copy(update=changes)})


def same(a, b):
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def undisturbed(base_folder, tmp_path):
    return train(*make_rows(), base_folder, tmp_path / "undisturbed")


def test_training_learns_the_twins(base_folder, tmp_path):
    settings = with_trainer(steps=60, lr=0.02, batch=8, eval_every=20)
    checkpoint, log = train(*make_rows(24, 8), base_folder, tmp_path, settings=settings)
    assert [row["step"] for row in log] == [0, 20, 40, 60]
    assert log[-1]["loss"] < log[1]["loss"]
    assert log[-1]["dev_loss"] < log[0]["dev_loss"]
    assert checkpoint.card.dev["dev_accuracy"] == max(row["dev_accuracy"] for row in log[1:]) > log[0]["dev_accuracy"]
    json.dumps(log)


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
    """The second look at the dev twins is cut off after some of its three files are written."""
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
        from cultureclip.clip.trainer import Trainer
        from tests.clip import test_trainer as t
        real = Trainer._step
        def step(self, optimizer, number):
            if number == 6:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(self, optimizer, number)
        Trainer._step = step
        t.train(*t.make_rows(), Path({str(base_folder)!r}), {str(tmp_path / "killed")!r})
    """
    root = Path(__file__).parents[2]
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
    rows, _ = make_rows()
    other = rows.assign(pos_caption=["changed", *rows["pos_caption"][1:]])
    repainted, mirroring = (
        general_pairs(),
        SETTINGS.model_copy(update={"augmentation": AugmentationSettings(mirror=0.5)}),
    )
    pictures = repainted.pictures.data
    pictures[min(pictures)] = pictures[max(pictures)]
    keys = {
        training_key(rows, None, "f", "clip", 1, SETTINGS),
        training_key(other, None, "f", "clip", 1, SETTINGS),
        training_key(rows, None, "g", "clip", 1, SETTINGS),
        training_key(rows, None, "f", "negclip", 1, SETTINGS),
        training_key(rows, None, "f", "clip", 2, SETTINGS),
        training_key(rows, None, "f", "clip", 1, with_trainer(lr=0.02)),
        training_key(rows, general_pairs(), "f", "clip", 1, SETTINGS),
        training_key(rows, repainted, "f", "clip", 1, SETTINGS),
        training_key(rows, None, "f", "clip", 1, mirroring),
        training_key(rows, None, "f", "clip", 1, mirroring, {"a"}),
    }
    assert len(keys) == 10
    assert training_key(rows, None, "f", "clip", 1, SETTINGS, {"a"}) in keys  # nothing is mirrored
    assert training_key(rows[::-1], None, "f", "clip", 1, SETTINGS) in keys


@pytest.mark.parametrize("objective", list(OBJECTIVES))
def test_every_objective_trains_on_the_same_batches(base_folder, tmp_path, monkeypatch, objective):
    seen, real = [], trainer_module.make_batch

    def recording(data, rows, encoder, *rest):
        batch = real(data, rows, encoder, *rest)
        if rest:
            seen.append((batch.row_ids, float(batch.pixels().sum())))
        return batch

    monkeypatch.setattr(trainer_module, "make_batch", recording)
    checkpoint, _ = train(*make_rows(), base_folder, tmp_path / "a", objective, settings=with_trainer(steps=3))
    mine = list(seen)
    seen.clear()
    train(*make_rows(), base_folder, tmp_path / "b", "cultureclip", settings=with_trainer(steps=3))
    assert mine == seen and len(seen) == 3
    assert all(t.abs().max() > 0 for name, t in checkpoint.adapter.items() if name.endswith(".b"))


def test_seeds_differ_and_repeat(undisturbed, base_folder, tmp_path):
    again, _ = train(*make_rows(), base_folder, tmp_path / "again")
    other, _ = train(*make_rows(), base_folder, tmp_path / "other", seed=4)
    assert same(again.adapter, undisturbed[0].adapter)
    assert not same(other.adapter, undisturbed[0].adapter)


def test_bf16_and_anchor_train(base_folder, tmp_path, undisturbed):
    low, log = train(*make_rows(), base_folder, tmp_path / "low", settings=with_trainer(precision="bf16"))
    assert log[-1]["loss"] == pytest.approx(undisturbed[1][-1]["loss"], rel=0.05)
    assert all(t.dtype == torch.float32 for t in low.adapter.values())
    free, _ = train(*make_rows(), base_folder, tmp_path / "free", settings=with_trainer(steps=30, select_by="last"))
    held, _ = train(
        *make_rows(), base_folder, tmp_path / "held", settings=with_trainer(steps=30, select_by="last", anchor=100.0)
    )

    def size(checkpoint):
        updates = checkpoint.adapter
        return sum(float((updates[n[:-1] + "b"] @ t).norm()) for n, t in updates.items() if n.endswith(".a"))

    assert size(held) < 0.8 * size(free)


def test_a_released_defect_trains_and_is_on_the_card(base_folder, tmp_path, undisturbed):
    settings = SETTINGS.model_copy(update={"as_released": (1, 5)})
    checkpoint, _ = train(*make_rows(), base_folder, tmp_path, settings=settings)
    card = type(checkpoint.card).model_validate_json(checkpoint.card.model_dump_json())
    assert card.objective_settings == ObjectiveSettings(as_released=(1, 5))
    assert not same(checkpoint.adapter, undisturbed[0].adapter)


def test_released_defects_become_the_settings_that_express_them():
    everything = RunSettings.model_validate(
        {**SETTINGS.model_dump(), "as_released": "all", "trainer": {**SETTINGS.trainer.model_dump(), "chunk": 2}}
    ).effective()
    assert everything.objective.as_released == (1, 4, 5)
    assert not everything.lora.train_temperature
    augmentation, trainer = everything.augmentation, everything.trainer
    assert (augmentation.zoom, augmentation.shift, augmentation.colour, augmentation.mirror) == (0, 0, 0, 0)
    assert (trainer.precision, trainer.eval_every, trainer.select_by) == ("fp32", trainer.steps, "last")
    assert everything.released(2) and everything.released(8)
    frozen = SETTINGS.model_copy(update={"as_released": (3,)}).effective()
    assert frozen == SETTINGS.model_copy(
        update={"as_released": (3,), "lora": SETTINGS.lora.model_copy(update={"train_temperature": False})}
    )
    assert SETTINGS.effective() == SETTINGS


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"as_released": (2,)}, "needs a trainer.chunk"),
        ({"as_released": (6,)}, "as_released"),
        ({"objective": {"as_released": (1,)}}, "beside objective, not in it"),
        ({"launch": {"processes": 3}}, "trainer.batch 4 is no multiple of 3 processes"),
        ({"launch": {"nodes": 2}}, "nodes and rendezvous belong together"),
        ({"launch": {"processes": 2, "backend": "nccl"}}, "nccl needs trainer.device cuda, not cpu"),
        ({"trainer": {"patience": 2, "select_by": "last"}}, "patience needs a figure"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes, cause):
    merged = SETTINGS.model_dump()
    for key, value in changes.items():
        merged[key] = {**merged[key], **value} if isinstance(value, dict) else value
    with pytest.raises(ValidationError, match=cause):
        RunSettings.model_validate(merged)


def test_chunks_as_released_are_batches_of_their_own(base_folder, tmp_path, encoder):
    """Defect 2 against a loop of backward passes over parts of the batch, each with its own negatives."""
    settings = RunSettings(
        lora=LoraSettings(rank=2, dropout=0.0),
        trainer=TrainerSettings(batch=6, chunk=2, steps=1, lr=1e-30),
        augmentation=AugmentationSettings(zoom=0, shift=0, colour=0),
        as_released=(2,),
    )
    rows, images = make_rows()
    data = prepare(rows, images, encoder, settings.texts, 0.0)
    adapter = LoraAdapter(encoder.model, settings.lora, seed=1)
    with torch.no_grad():
        for update in adapter.updates():
            update.b.normal_(0, 0.1)
    objective = build_objective("cultureclip")
    trainer = Trainer(encoder, adapter, objective, data, None, None, settings, 3, tmp_path, "test")
    loss = trainer.loss = TwinLoss(encoder, adapter, objective, None, settings, Group())
    trainer._step(torch.optim.SGD(adapter.parameters(), lr=1e-30), 0)
    found = [p.grad.clone() for p in adapter.parameters()]
    adapter.zero_grad()
    for part in draw_rows(len(data.row_ids), 6, 3, 0).split(2):
        batch = make_batch(data, part, encoder)
        parts = embed_image(encoder.model, batch.pixels()), embed_text(encoder.model, batch.tokens)
        (objective(loss.as_twins(batch, *parts)) / 3).backward()
    torch.nn.utils.clip_grad_norm_(adapter.parameters(), settings.trainer.max_grad_norm)
    for own, parameter in zip(found, adapter.parameters(), strict=True):
        torch.testing.assert_close(own, parameter.grad, atol=1e-6, rtol=1e-4)


def test_without_dev_twins_the_last_state_is_kept(base_folder, tmp_path):
    checkpoint, log = train(*make_rows(8, 0), base_folder, tmp_path)
    assert checkpoint.card.selected_by == "last" and checkpoint.card.step == 10 and checkpoint.card.dev == {}
    assert not any(field.startswith("dev_") and field != "dev_rows" for row in log for field in row)


def test_best_row_is_the_first_of_equals_and_never_the_base():
    log = [{"step": 0, "a": 0.9}, {"step": 5, "a": 0.7}, {"step": 9, "a": 0.7}, {"step": 12, "a": 0.1}]
    assert best_row(log, "a")["step"] == 5
    assert best_row([{**row, "dev_loss": row["a"]} for row in log], "dev_loss")["step"] == 12
    assert best_row(log, "dev_accuracy")["step"] == best_row(log, "last")["step"] == 12


def test_loss_that_is_not_finite_stops_and_names_the_rows(base_folder, tmp_path, monkeypatch):
    rows, images = make_rows()
    monkeypatch.setattr(step_module, "embed_image", lambda model, pixels: torch.full((len(pixels), 24), torch.nan))
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


def cut(path):
    path.write_bytes(path.read_bytes()[:-30])


def rewrite(tensors, metadata):
    return lambda path: save_file(tensors, path, metadata)


@pytest.mark.parametrize(
    ("file", "damage", "cause"),
    [
        ("state.safetensors", cut, "not a whole safetensors file"),
        ("state.safetensors", rewrite({"model.x": torch.zeros(2)}, {"step": "8"}), "no state of this training"),
        ("state.safetensors", rewrite({"model.x": torch.zeros(2)}, {}), "no state of this training"),
        ("best.safetensors", cut, "not a whole safetensors file"),
        ("best.safetensors", Path.unlink, "no such weights file"),
        ("log.jsonl", cut, "no whole log"),
        ("log.jsonl", Path.unlink, "no whole log"),
        ("log.jsonl", lambda path: path.write_text("[]\n[]\n"), "no whole log"),
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
    with pytest.raises(TrainingError, match=r"log.jsonl: no whole log.*Remove the folder"):
        train(*make_rows(), base_folder, tmp_path / "undisturbed")


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


def test_learning_rate_rises_then_falls_to_zero():
    settings = TrainerSettings(steps=10, warmup_steps=4, lr=1.0)
    rates = [learning_rate(step, settings) for step in range(10)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
    assert learning_rate(0, TrainerSettings(steps=1, warmup_steps=0, lr=1.0)) == 1.0


def test_cosine_falls_along_half_a_cosine_after_the_warm_up():
    settings = TrainerSettings(steps=12, warmup_steps=4, lr=1.0, schedule="cosine")
    rates = [learning_rate(step, settings) for step in range(12)]
    assert rates[:4] == pytest.approx([0.25, 0.5, 0.75, 1])
    assert rates[4:] == pytest.approx([(1 + math.cos(math.pi * k / 8)) / 2 for k in range(8)])


def test_patience_counts_looks_without_a_better_figure():
    log = [{"step": s, "dev_accuracy": a} for s, a in ((0, 0.9), (4, 0.5), (8, 0.6), (12, 0.6), (16, 0.4))]
    assert not ran_out_of_patience(log[:4], "dev_accuracy", 2)
    assert ran_out_of_patience(log, "dev_accuracy", 2)
    assert not ran_out_of_patience(log, "dev_accuracy", 3)
    assert not ran_out_of_patience(log, "dev_accuracy", None)
    assert not ran_out_of_patience([{"step": s} for s in range(9)], "dev_accuracy", 1)  # no dev twins


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


def test_l2_start_holds_the_update_small(base_folder, tmp_path):
    def size(weight):
        settings = with_trainer(steps=30, select_by="last", l2_start=weight)
        updates = train(*make_rows(), base_folder, tmp_path / str(weight), settings=settings)[0].adapter
        return sum(float((updates[n[:-1] + "b"] @ t).norm()) for n, t in updates.items() if n.endswith(".a"))

    assert size(1.0) < 0.8 * size(0.0)


def test_two_trainings_of_one_thing_at_once_are_refused(base_folder, tmp_path, monkeypatch):
    real, tried = Trainer._step, []

    def again(self, optimizer, step):
        if not tried:
            tried.append(step)
            with pytest.raises(TrainingError, match="another process is training it"):
                train(*make_rows(), base_folder, tmp_path)
        return real(self, optimizer, step)

    monkeypatch.setattr(Trainer, "_step", again)
    train(*make_rows(), base_folder, tmp_path)
    assert tried


def test_activations_computed_twice_and_compiled_towers_learn_the_same(base_folder, tmp_path, monkeypatch):
    """The compiler's front end and autograd are the real ones; without its C++ back end, which takes minutes."""
    compiled, real = [], torch.nn.Module.compile

    def compile_quickly(self, **options):
        compiled.append(self)
        real(self, backend="aot_eager", **options)

    monkeypatch.setattr(torch.nn.Module, "compile", compile_quickly)
    settings = SETTINGS.model_copy(update={"lora": SETTINGS.lora.model_copy(update={"dropout": 0.0})})

    def run(**changes):
        own = settings.model_copy(update={"trainer": settings.trainer.model_copy(update=changes)})
        return train(*make_rows(12, 0), base_folder, tmp_path / str(changes), settings=own)[0].adapter  # no second mode

    plain = run(steps=3)
    for other in (run(steps=3, checkpoint_activations=True), run(steps=3, compile=True)):
        for name, tensor in plain.items():
            torch.testing.assert_close(other[name], tensor, atol=1e-4, rtol=1e-3)
    assert len(compiled) == 2


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


def test_curves_and_metrics_of_several_logs(undisturbed):
    logs = {"clip_both_s1": undisturbed[1], "cultureclip_s1": undisturbed[1]}
    figure = loss_curves(logs)
    assert len(figure.data) == 6 and list(figure.data[0].x) == [4, 8, 10]
    metrics = training_metrics(logs, dict.fromkeys(logs, "dev_accuracy"))
    assert metrics["clip_both_s1"]["data"] == {"train_rows": 12, "dev_rows": 4, "unreadable_images": 0, "cut_texts": 0}
    assert metrics["cultureclip_s1"]["chosen"]["step"] == undisturbed[0].card.step
