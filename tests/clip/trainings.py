"""Trainings of the tiny model, as the tests run them."""

from pathlib import Path

import torch

from cultureclip.clip.settings import LoraSettings, RunSettings, TrainerSettings
from cultureclip.clip.training.runs import train_adapter

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
