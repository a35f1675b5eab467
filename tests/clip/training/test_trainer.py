"""What a training does: it learns, repeats, and follows its settings."""

import json
import math

import pytest
import torch

from cultureclip.clip.data.batches import draw_rows, make_batch, prepare
from cultureclip.clip.data.towers import embed_image, embed_text
from cultureclip.clip.lora.adapter import LoraAdapter
from cultureclip.clip.objectives.losses import OBJECTIVES, build_objective
from cultureclip.clip.settings import (
    AugmentationSettings,
    LoraSettings,
    RunSettings,
    TrainerSettings,
)
from cultureclip.clip.training import runs as runs_module
from cultureclip.clip.training import trainer as trainer_module
from cultureclip.clip.training.curves import loss_curves, training_metrics
from cultureclip.clip.training.distributed import Group
from cultureclip.clip.training.step import TwinLoss
from cultureclip.clip.training.trainer import Trainer, learning_rate
from cultureclip.clip.training.training_log import best_row, ran_out_of_patience
from cultureclip.models.encoder import load_encoder
from tests.clip.conftest import make_rows
from tests.clip.trainings import SETTINGS, same, train, with_trainer


def test_training_learns_the_twins(base_folder, tmp_path):
    settings = with_trainer(steps=60, lr=0.02, batch=8, eval_every=20)
    checkpoint, log = train(*make_rows(24, 8), base_folder, tmp_path, settings=settings)
    assert [row["step"] for row in log] == [0, 20, 40, 60]
    assert log[-1]["loss"] < log[1]["loss"]
    assert log[-1]["dev_loss"] < log[0]["dev_loss"]
    assert checkpoint.card.dev["dev_accuracy"] == max(row["dev_accuracy"] for row in log[1:]) > log[0]["dev_accuracy"]
    json.dumps(log)


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
    assert card.settings == settings.effective() and card.settings.objective.as_released == (1, 5)
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


def test_chunks_as_released_are_batches_of_their_own(base_folder, tmp_path, encoder):
    """Defect 2 against a loop of backward passes over parts of the batch, each with its own negatives."""
    settings = RunSettings(
        lora=LoraSettings(rank=2, dropout=0.0),
        trainer=TrainerSettings(batch=6, chunk=2, steps=1, warmup_steps=0, lr=1e-30),
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
    trainer = Trainer(
        encoder=encoder,
        adapter=adapter,
        objective=objective,
        data=data,
        dev=None,
        replay=None,
        settings=settings,
        seed=3,
        folder=tmp_path,
        name="test",
    )
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


@pytest.mark.parametrize(
    ("base", "learns", "after"),
    [(90.0, True, 100.0), (117.0, True, 117.0), (117.0, False, 117.0)],
    ids=["up to CLIP's bound", "a base above it keeps its own", "a frozen one stays"],
)
def test_the_temperature_is_bounded_where_it_learns(base_folder, tmp_path, monkeypatch, base, learns, after):
    def warm(path, device):
        encoder = load_encoder(path, device)
        encoder.model.logit_scale.data.fill_(math.log(base))
        return encoder

    monkeypatch.setattr(runs_module, "load_encoder", warm)
    # a loss that asks for a higher scale than any bound allows
    monkeypatch.setattr(runs_module, "build_objective", lambda *_: lambda twins: -twins.scale + twins.images.sum())
    settings = with_trainer(lr=0.1, warmup_steps=0)
    settings = settings.model_copy(update={"lora": settings.lora.model_copy(update={"train_temperature": learns})})
    _, log = train(*make_rows(), base_folder, tmp_path, settings=settings)
    assert log[1]["scale"] == pytest.approx(after, rel=1e-6)


def test_a_training_leaves_the_callers_random_state_alone(base_folder, tmp_path, monkeypatch):
    real, compared = Trainer.run, []

    def run(self):
        before = torch.get_rng_state()
        result = real(self)
        compared.append(torch.equal(torch.get_rng_state(), before))
        return result

    monkeypatch.setattr(Trainer, "run", run)
    train(*make_rows(), base_folder, tmp_path)
    assert compared == [True]


def test_l2_start_holds_the_update_small(base_folder, tmp_path):
    def size(weight):
        settings = with_trainer(steps=30, select_by="last", l2_start=weight)
        updates = train(*make_rows(), base_folder, tmp_path / str(weight), settings=settings)[0].adapter
        return sum(float((updates[n[:-1] + "b"] @ t).norm()) for n, t in updates.items() if n.endswith(".a"))

    assert size(1.0) < 0.8 * size(0.0)


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


def test_curves_and_metrics_of_several_logs(undisturbed):
    logs = {"clip_both_s1": undisturbed[1], "cultureclip_s1": undisturbed[1]}
    figure = loss_curves(logs, {"clip_both_s1": "clip_both", "cultureclip_s1": "cultureclip"})
    assert len(figure.data) == 6 and list(figure.data[0].x) == [4, 8, 10]
    metrics = training_metrics(logs, dict.fromkeys(logs, "dev_accuracy"))
    assert metrics["clip_both_s1"]["data"] == {"train_rows": 12, "dev_rows": 4, "unreadable_images": 0, "cut_texts": 0}
    assert metrics["cultureclip_s1"]["chosen"]["step"] == undisturbed[0].card.step
