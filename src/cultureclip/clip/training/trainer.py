"""The optimisation of one adapter: steps, dev evaluations, exact resume."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor

from cultureclip.clip.data.batches import TwinData, draw_rows, make_batch, step_generator
from cultureclip.clip.data.frozen_blocks import FrozenBlockCache, cache_frozen_blocks
from cultureclip.clip.data.replay import Replay
from cultureclip.clip.lora.adapter import LoraAdapter
from cultureclip.clip.objectives.contrast import TwinEmbeddings
from cultureclip.clip.objectives.losses import Objective
from cultureclip.clip.settings import RunSettings, TrainerSettings
from cultureclip.clip.training.distributed import Group
from cultureclip.clip.training.step import TwinLoss, twin_accuracy
from cultureclip.clip.training.training_log import (
    LOG_NAME,
    START_AFRESH,
    LogRow,
    Tracker,
    best_row,
    ran_out_of_patience,
    read_log,
    write_log,
)
from cultureclip.engine.atomic import replacing
from cultureclip.engine.progress import progress_bar
from cultureclip.errors import TrainingError, WeightsError
from cultureclip.models.encoder import ImageTextEncoder
from cultureclip.models.weights.checkpoint import (
    load_tensors,
    load_training_state,
    save_atomically,
    save_training_state,
)

STATE_NAME, BEST_NAME, FAULT_NAME, EVENTS_NAME = "state.safetensors", "best.safetensors", "not_finite.json", "events"
FROZEN_BLOCKS_NAME = "frozen_blocks"
MAX_SCALE = 100.0
"""Upper bound of exp(logit_scale), as CLIP was trained with; a base that is above it learns up to its own."""


def learning_rate(step: int, settings: TrainerSettings) -> float:
    """Return the rate of a step, counted from 0: a linear warm-up to the peak, then the schedule's way down to 0."""
    rise = (step + 1) / max(1, settings.warmup_steps)
    left = min(1.0, (settings.steps - step) / max(1, settings.steps - settings.warmup_steps))
    fall = left if settings.schedule == "linear" else (1 - math.cos(math.pi * left)) / 2
    return settings.lr * min(1.0, rise, fall)


@dataclass(kw_only=True)
class Trainer:
    """Trains an adapter on twins.

    Killed at any moment and started again over the same folder, it ends with the weights, bit for bit, of a run that
    was left alone (on a CPU, with the same number of threads; attention's backward pass on a GPU adds up in an order
    that changes): rows, augmentation and dropout of a step are drawn from
    (seed, step), the rest is in the training state.

    Attributes:
        encoder: The base model, adapted in place.
        adapter: Trainable part of the model.
        objective: The loss.
        data: Training rows.
        dev: Rows to choose the checkpoint on; None without any.
        replay: General pairs in every step; None without any.
        settings: Settings of the whole run.
        seed: Seed of data order, augmentation and dropout.
        folder: For training state and log.
        name: Shown on the progress bar.
        group: The processes that share every batch; the leading one writes the files.
    """

    encoder: ImageTextEncoder
    adapter: LoraAdapter
    objective: Objective
    data: TwinData
    dev: TwinData | None
    replay: Replay | None
    settings: RunSettings
    seed: int
    folder: Path
    name: str
    group: Group = field(default_factory=Group)

    def __post_init__(self) -> None:
        self.largest_scale = max(math.log(MAX_SCALE), float(self.encoder.model.logit_scale.detach()))

    def run(self) -> None:
        """Train to the end; the folder then holds the chosen adapter and the log.

        Raises:
            TrainingError: if the loss or its gradient is not finite (the batch's rows are saved beside the training
                state), or the training state to resume is damaged.
            StorageError: if the training state cannot be written.
        """
        trainer = self.settings.trainer
        self.folder.mkdir(parents=True, exist_ok=True)
        self._prepare_towers()
        self.loss = TwinLoss(
            self.encoder, self.adapter, self.objective, self.replay, self.settings, self.group, self._caches()
        )
        optimizer = torch.optim.AdamW(self._groups(), lr=trainer.lr)
        device = self.encoder.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            start, log = self._resume(optimizer)
            self.tracker = Tracker(trainer.tracker if self.group.leads else "none", self.folder / EVENTS_NAME, start)
            self._optimise(optimizer, log, start)
        self.tracker.close()

    def _prepare_towers(self) -> None:
        trainer, model = self.settings.trainer, self.encoder.model
        if trainer.checkpoint_activations:
            model.set_grad_checkpointing(True)
        if trainer.compile:
            for tower in (model.visual, getattr(model, "text", None) or model.transformer):
                tower.compile(dynamic=True)
        model.train()

    def _caches(self) -> list[FrozenBlockCache]:
        """Return the frozen blocks' outputs for all inputs, if they are to be cached."""
        blocks = self.settings.lora.last_blocks
        if not self.settings.trainer.cache_frozen_blocks or blocks is None:
            return []
        sources = {"twins": self.data} | ({} if self.replay is None else {"replay": self.replay})
        folder = self.folder / FROZEN_BLOCKS_NAME
        return [cache_frozen_blocks(source, self.encoder, blocks, folder / name) for name, source in sources.items()]

    def _optimise(self, optimizer: torch.optim.Optimizer, log: list[LogRow], start: int) -> None:
        """Return all steps from ``start`` on, with a dev evaluation every ``eval_every`` steps."""
        trainer = self.settings.trainer
        steps = range(start, trainer.steps)
        bar = progress_bar(steps, self.name, trainer.steps, initial=start, disable=not self.group.leads)
        window: list[tuple[float, float]] = []
        began = time.perf_counter()
        for step in bar:
            if ran_out_of_patience(log, trainer.select_by, trainer.patience):
                break
            window.append(self._step(optimizer, step))
            speed = len(window) * min(trainer.batch, len(self.data.row_ids)) / (time.perf_counter() - began)
            loss, accuracy = window[-1]
            memory = memory_in_use(self.encoder.device)
            bar.set_postfix_str(
                f"loss {loss:.3f}, accuracy {accuracy:.2f}, {speed:.0f} twins/s, {memory:.1f} GB", refresh=False
            )
            if (step + 1) % trainer.eval_every == 0 or step + 1 == trainer.steps:
                log.append(self._row(step, window, speed))
                self._keep(optimizer, log)
                window, began = [], time.perf_counter()

    def _groups(self) -> list[dict[str, Any]]:
        """Group the parameters: decay for the low-rank matrices, none for the temperature."""
        matrices = [p for p in self.adapter.parameters() if p.ndim > 1]
        scalars = [p for p in self.adapter.parameters() if p.ndim <= 1]
        decay = self.settings.trainer.weight_decay
        return [{"params": matrices, "weight_decay": decay}, {"params": scalars, "weight_decay": 0.0}]

    def _resume(self, optimizer: torch.optim.Optimizer) -> tuple[int, list[LogRow]]:
        """Return to the last saved state: steps done, and the log so far; 0 and a first row if there is none."""
        try:
            start = load_training_state(self.folder / STATE_NAME, self.adapter, optimizer)
            if not start:
                return 0, [self._base_row()]
            load_tensors(self.folder / BEST_NAME)  # find damage now and not at the end
        except WeightsError as error:
            raise TrainingError(error.item, error.cause, START_AFRESH) from error
        optimizer.load_state_dict(optimizer.state_dict())  # moves the loaded state to the parameters' device
        log = [row for row in read_log(self.folder / LOG_NAME) if row["step"] <= start]
        if not log or log[-1]["step"] != start:
            raise TrainingError(
                self.folder / LOG_NAME, f"has no row for step {start}, the step of the state", START_AFRESH
            )
        return start, log

    def _base_row(self) -> LogRow:
        """Return a row of the training's inputs and of the untouched base's figures on the dev twins."""
        counts = {
            "train_rows": len(self.data.row_ids),
            "dev_rows": len(self.dev.row_ids) if self.dev else 0,
            "unreadable_images": len(self.data.unreadable) + (len(self.dev.unreadable) if self.dev else 0),
            "cut_texts": self.data.cut_texts,
        }
        return {"step": 0, **counts, **self._dev_figures()}

    def _step(self, optimizer: torch.optim.Optimizer, step: int) -> tuple[float, float]:
        """Do one update; return loss and caption accuracy of the batch."""
        trainer = self.settings.trainer
        generator = step_generator(self.seed, step)
        seed = int(torch.randint(2**62, (1,), generator=generator))
        rows = draw_rows(len(self.data.row_ids), trainer.batch, self.seed, step)
        replayed = None
        optimizer.zero_grad()
        batches = [
            make_batch(self.data, part, self.encoder, self.settings.augmentation, generator)
            for part in (rows.split(trainer.chunk) if trainer.chunk and self.settings.released(2) else [rows])
        ]
        if self.replay is not None:
            replayed = torch.randint(len(self.replay.tokens), (self.settings.replay.batch,), generator=generator)
        figures = []
        for number, batch in enumerate(batches):
            figures.append(self.loss.backward(batch, replayed, 1 / len(batches), seed + number))
            self._check_finite("loss", figures[-1][0], step, batch.row_ids)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, trainer)
        norm = torch.nn.utils.clip_grad_norm_(self.adapter.parameters(), trainer.max_grad_norm)
        self._check_finite("gradient's norm", float(norm), step, [self.data.row_ids[row] for row in rows.tolist()])
        optimizer.step()
        if self.settings.lora.train_temperature:
            with torch.no_grad():
                self.encoder.model.logit_scale.clamp_(0, self.largest_scale)
        loss, accuracy = (sum(values) / len(figures) for values in zip(*figures, strict=True))
        return loss, accuracy

    def _check_finite(self, figure: str, value: float, step: int, row_ids: list[str]) -> None:
        """Stop before a value that is not finite reaches the weights."""
        if math.isfinite(value):
            return
        path = self.folder / FAULT_NAME
        if self.group.leads:
            with replacing(path) as temporary:
                fault = {"step": step, figure: str(value), "row_ids": row_ids}
                temporary.write_text(json.dumps(fault, indent=1), encoding="utf-8")
        raise TrainingError(
            f"{self.name}, step {step}",
            f"the {figure} is {value}; the batch's row ids are in {path}",
            "Lower the learning rate, train in fp32, or check these rows",
        )

    def _dev_figures(self) -> dict[str, float]:
        """Return the leading process's figures on the dev twins."""
        return self.group.from_leader(self._look_at_dev)

    @torch.no_grad()
    def _look_at_dev(self) -> dict[str, float]:
        """Return the loss and accuracies on the dev twins, means over rows, images unchanged; empty without twins."""
        if self.dev is None:
            return {}
        figures: dict[str, Callable[[TwinEmbeddings, Tensor], float]] = {
            "dev_loss": lambda twins, _: float(self.objective(twins)),
            "dev_caption_accuracy": lambda twins, shown: twin_accuracy(twins, "caption", shown),
            "dev_concept_accuracy": lambda twins, shown: twin_accuracy(twins, "concept", shown),
        }
        sums = dict.fromkeys(figures, 0.0)
        self.encoder.model.eval()
        for rows in torch.arange(len(self.dev.row_ids)).split(self.settings.trainer.batch):
            batch = make_batch(self.dev, rows, self.encoder)
            twins = self.loss.embed(batch)
            sums = {name: sums[name] + len(rows) * figure(twins, batch.shown) for name, figure in figures.items()}
        self.encoder.model.train()
        means = {name: total / len(self.dev.row_ids) for name, total in sums.items()}
        return means | {"dev_accuracy": (means["dev_caption_accuracy"] + means["dev_concept_accuracy"]) / 2}

    def _row(self, step: int, window: list[tuple[float, float]], speed: float) -> LogRow:
        """Return a log row: means over the steps since the last one, and the dev figures now."""
        row = {
            "step": step + 1,
            "loss": sum(loss for loss, _ in window) / len(window),
            "accuracy": sum(accuracy for _, accuracy in window) / len(window),
            "lr": learning_rate(step, self.settings.trainer),
            "scale": float(self.encoder.model.logit_scale.detach().exp()),
            "twins_per_second": speed,
            **self._dev_figures(),
        }
        self.tracker.show(row)
        return row

    def _keep(self, optimizer: torch.optim.Optimizer, log: list[LogRow]) -> None:
        """Save best adapter, log and training state, in this order: a resume may redo steps, never miss one."""
        if not self.group.leads:
            return
        if best_row(log, self.settings.trainer.select_by) is log[-1]:
            save_atomically(self.adapter.state(), self.folder / BEST_NAME)
        write_log(log, self.folder / LOG_NAME)
        save_training_state(self.folder / STATE_NAME, self.adapter, optimizer, log[-1]["step"])


def memory_in_use(device: torch.device) -> float:
    """Return the memory in GB: the peak of a GPU so far, or the current memory of this process."""
    if device.type == "cuda":
        taken: int = torch.cuda.max_memory_allocated(device)
    else:
        taken = psutil.Process().memory_info().rss
    return taken / 1e9
