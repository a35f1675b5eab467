"""The optimisation of one adapter: steps, looks at the dev twins, exact resume."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm.auto import tqdm

from cultureclip.clip.batches import TwinBatch, TwinData, draw_rows, make_batch, normalise, step_generator
from cultureclip.clip.distillation import anchor_loss, replay_loss
from cultureclip.clip.lora import LoraAdapter
from cultureclip.clip.losses import Objective, TwinEmbeddings
from cultureclip.clip.replay import Replay
from cultureclip.clip.settings import RunSettings, TrainerSettings
from cultureclip.clip.towers import crop_tokens, embed_image, embed_text
from cultureclip.engine.atomic import replacing
from cultureclip.errors import TrainingError
from cultureclip.models.checkpoint import load_tensors, load_training_state, save_atomically, save_training_state
from cultureclip.models.encoder import ImageTextEncoder
from cultureclip.models.precision import fast_dtype

STATE_NAME, BEST_NAME, LOG_NAME, FAULT_NAME = "state.safetensors", "best.safetensors", "log.json", "not_finite.json"
MAX_SCALE = 100.0
"""Upper bound of exp(logit_scale), as CLIP was trained with."""

LogRow = dict[str, Any]


def write_json(value: object, path: Path) -> None:
    """Write JSON whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")


def learning_rate(step: int, settings: TrainerSettings) -> float:
    """Rate of a step, counted from 0: linear from 0 to the peak over the warm-up, then linear down to 0."""
    rise = (step + 1) / max(1, settings.warmup_steps)
    fall = (settings.steps - step) / max(1, settings.steps - settings.warmup_steps)
    return settings.lr * min(1.0, rise, fall)


def twin_accuracy(twins: TwinEmbeddings, field: str) -> float:
    """Share of images that are closer to their own text than to their twin's; a tie counts half."""
    texts, _ = twins.texts(field)
    own = (twins.images * texts).sum(-1)
    other = (twins.images * texts.flip(0)).sum(-1)
    return float(((own > other).float() + 0.5 * (own == other).float()).mean())


def best_row(log: list[LogRow], select_by: str) -> LogRow:
    """The log's row after training began that is best by a dev figure, the first of equals; the last without one."""
    rows = [row for row in log if row["step"] > 0]
    if select_by == "last" or select_by not in rows[-1]:
        return rows[-1]
    sign = -1 if select_by == "dev_loss" else 1
    return max(rows, key=lambda row: (sign * row[select_by], -row["step"]))


@dataclass
class Trainer:
    """Trains an adapter on twins.

    Killed at any moment and started again over the same folder, it ends with the weights, bit for bit, of a run that
    was left alone (same machine, same number of threads): rows, augmentation and dropout of a step are drawn from
    (seed, step), the rest is in the training state.

    Attributes:
        encoder: The base model, adapted in place.
        adapter: Its trainable part.
        objective: The loss.
        data: Training rows.
        dev: Rows to choose the checkpoint on; None without any.
        replay: General pairs in every step; None without any.
        settings: Of the whole run.
        seed: Of data order, augmentation and dropout.
        folder: For training state and log.
        name: Shown on the progress bar.
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

    def run(self) -> tuple[dict[str, Tensor], list[LogRow]]:
        """Train to the end.

        Returns:
            The chosen adapter's tensors and the log.

        Raises:
            TrainingError: the loss is not finite; the rows of the batch are saved beside the training state.
        """
        trainer = self.settings.trainer
        self.folder.mkdir(parents=True, exist_ok=True)
        self.base_scale = self.encoder.model.logit_scale.detach().exp().clone()
        optimizer = torch.optim.AdamW(self._groups(), lr=trainer.lr)
        start = load_training_state(self.folder / STATE_NAME, self.adapter, optimizer)
        optimizer.load_state_dict(optimizer.state_dict())  # moves what was loaded to the parameters' device
        log = self._read_log(start)
        bar = tqdm(range(start, trainer.steps), desc=self.name, initial=start, total=trainer.steps, mininterval=2)
        window: list[tuple[float, float]] = []
        began = time.perf_counter()
        self.encoder.model.train()
        with torch.random.fork_rng():
            for step in bar:
                window.append(self._step(optimizer, step))
                bar.set_postfix(loss=f"{window[-1][0]:.3f}", accuracy=f"{window[-1][1]:.2f}", refresh=False)
                if (step + 1) % trainer.eval_every == 0 or step + 1 == trainer.steps:
                    speed = len(window) * min(trainer.batch, len(self.data.row_ids)) / (time.perf_counter() - began)
                    log.append(self._row(step, window, speed))
                    self._keep(optimizer, log)
                    window, began = [], time.perf_counter()
        chosen, _ = load_tensors(self.folder / BEST_NAME)
        return chosen, log

    def _groups(self) -> list[dict[str, Any]]:
        """Decay for the low-rank matrices, none for the temperature."""
        matrices = [p for p in self.adapter.parameters() if p.ndim > 1]
        scalars = [p for p in self.adapter.parameters() if p.ndim <= 1]
        decay = self.settings.trainer.weight_decay
        return [{"params": matrices, "weight_decay": decay}, {"params": scalars, "weight_decay": 0.0}]

    def _read_log(self, start: int) -> list[LogRow]:
        """The log up to the step that is resumed from; with a first row that says what the untouched base does."""
        if start:
            rows = json.loads((self.folder / LOG_NAME).read_text(encoding="utf-8"))
            return [row for row in rows if row["step"] <= start]
        counts = {
            "train_rows": len(self.data.row_ids),
            "dev_rows": len(self.dev.row_ids) if self.dev else 0,
            "unreadable_images": len(self.data.unreadable) + (len(self.dev.unreadable) if self.dev else 0),
            "cut_texts": self.data.cut_texts,
        }
        return [{"step": 0, **counts, **self._dev_figures()}]

    def _step(self, optimizer: torch.optim.Optimizer, step: int) -> tuple[float, float]:
        """One update; returns loss and caption accuracy of the batch."""
        trainer = self.settings.trainer
        generator = step_generator(self.seed, step)
        torch.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
        rows = draw_rows(len(self.data.row_ids), trainer.batch, self.seed, step)
        batch = make_batch(self.data, rows, self.encoder, self.settings.augmentation, generator)
        embedded = self._embed(batch.pixels, batch.tokens)
        twins = self._twins(batch, *embedded)
        loss = self.objective(twins)
        if self.replay is not None:
            loss = loss + self.settings.replay.weight * self._replay_loss(self.replay, generator)
        if trainer.anchor:
            with torch.no_grad(), self.adapter.disabled():
                base_images, base_texts = self._encode(batch.pixels, batch.tokens)
            images, texts = (F.normalize(e, dim=-1) for e in embedded)
            loss = loss + trainer.anchor * anchor_loss(images, texts, base_images, base_texts, self.base_scale)
        value = float(loss.detach())
        if not math.isfinite(value):
            write_json({"step": step, "loss": str(value), "row_ids": batch.row_ids}, self.folder / FAULT_NAME)
            raise TrainingError(
                f"{self.name}, step {step}",
                f"the loss is {value}; the batch's row ids are in {self.folder / FAULT_NAME}",
                "Lower the learning rate, train in fp32, or look at these rows",
            )
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, trainer)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.adapter.parameters(), trainer.max_grad_norm)
        optimizer.step()
        with torch.no_grad():
            self.encoder.model.logit_scale.clamp_(0, math.log(MAX_SCALE))
            return value, twin_accuracy(twins, "caption")

    def _replay_loss(self, replay: Replay, generator: torch.Generator) -> Tensor:
        """How far the tuned model is from its base on general pairs drawn by ``generator``."""
        rows = torch.randint(len(replay.pixels), (self.settings.replay.batch,), generator=generator)
        pixels = normalise(replay.pixels[rows].float() / 255, self.encoder)
        tokens = crop_tokens(self.encoder.model, replay.tokens[rows]).to(self.encoder.device)
        images, texts = self._encode(pixels, tokens)
        return replay_loss(images, texts, rows, replay.images, replay.texts)

    def _encode(self, pixels: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """L2-normalised embeddings of images [N, D] and texts [U, D]."""
        images, texts = self._embed(pixels, tokens)
        return F.normalize(images, dim=-1), F.normalize(texts, dim=-1)

    def _embed(self, pixels: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings of images [N, D] and texts [U, D] at their own length: one call a tower."""
        precision, device = self.settings.trainer.precision, self.encoder.device
        bf16 = precision == "bf16" or (precision == "auto" and fast_dtype(str(device)) == torch.bfloat16)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            return embed_image(self.encoder.model, pixels), embed_text(self.encoder.model, tokens)

    def _twins(self, batch: TwinBatch, images: Tensor, texts: Tensor) -> TwinEmbeddings:
        """Normalise, and scatter the distinct texts to the places where they occur."""
        image_norms, text_norms = images.norm(dim=-1).unflatten(0, (2, -1)), texts.norm(dim=-1)
        images, texts = F.normalize(images, dim=-1), F.normalize(texts, dim=-1)
        return TwinEmbeddings(
            images=images.unflatten(0, (2, -1)),
            captions=texts[batch.captions],
            concepts=texts[batch.concepts],
            caption_ids=batch.captions,
            concept_ids=batch.concepts,
            scale=self.encoder.model.logit_scale.float().exp(),
            norms=torch.stack([image_norms, text_norms[batch.captions], text_norms[batch.concepts]]),
        )

    @torch.no_grad()
    def _dev_figures(self) -> dict[str, float]:
        """Loss and accuracies on the dev twins, means over rows, images unchanged; empty without dev twins."""
        if self.dev is None:
            return {}
        figures: dict[str, Callable[[TwinEmbeddings], float]] = {
            "dev_loss": lambda twins: float(self.objective(twins)),
            "dev_caption_accuracy": lambda twins: twin_accuracy(twins, "caption"),
            "dev_concept_accuracy": lambda twins: twin_accuracy(twins, "concept"),
        }
        sums = dict.fromkeys(figures, 0.0)
        self.encoder.model.eval()
        for rows in torch.arange(len(self.dev.row_ids)).split(self.settings.trainer.batch):
            batch = make_batch(self.dev, rows, self.encoder)
            twins = self._twins(batch, *self._embed(batch.pixels, batch.tokens))
            sums = {name: sums[name] + len(rows) * figure(twins) for name, figure in figures.items()}
        self.encoder.model.train()
        means = {name: total / len(self.dev.row_ids) for name, total in sums.items()}
        return means | {"dev_accuracy": (means["dev_caption_accuracy"] + means["dev_concept_accuracy"]) / 2}

    def _row(self, step: int, window: list[tuple[float, float]], speed: float) -> LogRow:
        """A log row: means over the steps since the last one, and the dev figures now."""
        return {
            "step": step + 1,
            "loss": sum(loss for loss, _ in window) / len(window),
            "accuracy": sum(accuracy for _, accuracy in window) / len(window),
            "lr": learning_rate(step, self.settings.trainer),
            "scale": float(self.encoder.model.logit_scale.detach().exp()),
            "twins_per_second": speed,
            **self._dev_figures(),
        }

    def _keep(self, optimizer: torch.optim.Optimizer, log: list[LogRow]) -> None:
        """Save best adapter, log and training state, in this order: a resume may redo steps, never miss one."""
        if best_row(log, self.settings.trainer.select_by) is log[-1]:
            save_atomically(self.adapter.state(), self.folder / BEST_NAME)
        write_json(log, self.folder / LOG_NAME)
        save_training_state(self.folder / STATE_NAME, self.adapter, optimizer, log[-1]["step"])
