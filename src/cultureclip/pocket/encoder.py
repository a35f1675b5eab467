"""The pocket CLIPs (the trainee's base and the judge): small ``open_clip`` models trained from scratch.

Loss: symmetric InfoNCE in which all captions of the same thing are right (Khosla et al. 2020, supervised contrastive),
the same between two pictures of each thing (Mu et al. 2021, SLIP: what a thing looks like is learned without its name,
and a drawing style is not what it is), and a term that pulls the batch's text-text similarities towards those of a
sentence encoder. Real CLIP brings word knowledge from 400 M captions; the sentence encoder lends pocket some of it.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from open_clip.model import CLIP
from transformers import CLIPTokenizer

from cultureclip.engine.progress import progress_bar
from cultureclip.models.encoder import CONFIG_NAME, WEIGHTS_NAME
from cultureclip.models.weights.checkpoint import load_training_state, save_atomically, save_training_state
from cultureclip.pocket.pictures import augment, to_float
from cultureclip.pocket.settings import EncoderSettings

SAVE_EVERY = 200
TEACHER_TEMPERATURE = 0.1
VIEW_SCALE = 10.0
"""Inverse temperature between pictures."""
TEACHER_WEIGHT = 0.5


@dataclass(frozen=True)
class Example:
    """A thing that is shown.

    Attributes:
        pictures: Places of its drawings in the pool, one or two.
        thing: Thing shown: two pictures of one thing belong together.
        key: Meaning of its captions: a caption is right for every picture of the same key.
        describe: Writes a caption.
    """

    pictures: tuple[int, ...]
    thing: str
    key: str
    describe: Callable[[random.Random], str]


def model_config(tokenizer: CLIPTokenizer, size: int, settings: EncoderSettings) -> dict[str, Any]:
    """Return an ``open_clip`` model config of pocket's size: patch 8, 32-wide heads, quick to run on a CPU."""
    return {
        "embed_dim": 128,
        "vision_cfg": {
            "image_size": size,
            "layers": settings.layers,
            "width": settings.width,
            "patch_size": 8,
            "head_width": 32,
        },
        "text_cfg": {
            "context_length": tokenizer.model_max_length,
            "vocab_size": len(tokenizer),
            "hf_tokenizer_name": "local",
            "width": settings.text_width,
            "heads": settings.text_width // 32,
            "layers": 3,
        },
    }


def multi_positive_loss(
    rows: torch.Tensor, columns: torch.Tensor, same: torch.Tensor, scale: torch.Tensor | float
) -> torch.Tensor:
    """Return mean over both directions of CE(scale * R C^T, targets spread evenly over all pairs that mean the same).

    Args:
        rows: L2-normalised [B, D].
        columns: L2-normalised [B, D].
        same: bool [B, B], true where row and column mean the same.
        scale: exp(logit_scale).
    """
    logits = scale * rows @ columns.T
    target = same.float() / same.sum(dim=1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def teacher_loss(texts: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Return KL(teacher || student) between rows of softmaxed text-text cosine similarity, the diagonal left out."""
    off = ~torch.eye(len(texts), dtype=torch.bool)
    student_rows = (texts @ texts.T / TEACHER_TEMPERATURE)[off].view(len(texts), -1)
    teacher_rows = (teacher @ teacher.T / TEACHER_TEMPERATURE)[off].view(len(texts), -1)
    return F.kl_div(student_rows.log_softmax(-1), teacher_rows.softmax(-1), reduction="batchmean")


def train_encoder(
    pictures: torch.Tensor,
    examples: list[Example],
    sentences: tuple[list[str], torch.Tensor],
    tokenizer: CLIPTokenizer,
    config: dict[str, Any],
    settings: EncoderSettings,
    checkpoint: Path,
) -> CLIP:
    """Train a CLIP from scratch.

    Args:
        pictures: Pool, uint8 [N, 3, H, W].
        examples: Examples to show; drawn uniformly.
        sentences: Texts with their sentence embeddings, L2-normalised [M, 384], for the teacher term.
        tokenizer: The model's own.
        config: From :func:`model_config`.
        settings: Settings of the optimiser; ``batch`` counts pictures, two per thing, beside half as many sentences.
        checkpoint: Training state; a run that was cut off goes on from it.
    """
    seed, steps, batch, lr = settings.seed, settings.steps, settings.batch, settings.lr
    torch.manual_seed(seed)
    model = CLIP(**config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.98), weight_decay=0.1)
    start = load_training_state(checkpoint, model, optimizer)
    bar = progress_bar(range(start, steps), desc=checkpoint.stem, initial=start, total=steps)
    model.train()
    for step in bar:
        draw, rng = torch.Generator().manual_seed(seed * 1_000_003 + step), random.Random(seed * 1_000_003 + step)
        shown = [examples[i] for i in torch.randint(len(examples), (batch // 2,), generator=draw).tolist()]
        views = [rng.sample(e.pictures, 2) if len(e.pictures) > 1 else e.pictures * 2 for e in shown]
        lines = torch.randint(len(sentences[0]), (batch // 2,), generator=draw)
        texts = [e.describe(rng) for _ in range(2) for e in shown] + [sentences[0][i] for i in lines.tolist()]
        tokens = tokenizer(texts, padding="longest", truncation=True, return_tensors="pt").input_ids
        places = torch.tensor(views).T.flatten()  # first views of all, then second views of all
        pixels = augment(to_float(pictures[places]), draw, zoom=0.3, shift=0.12, degrees=15, colour=0.25)
        pixels = pixels + 0.1 * torch.rand(len(pixels), 1, 1, 1, generator=draw) * torch.randn(
            pixels.shape, generator=draw
        )
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / 100) * max(0.01, 1.0 - step / steps)
        with torch.autocast("cpu", torch.bfloat16):
            seen = model.encode_image(pixels, normalize=True)
            read = model.encode_text(_fill(tokens, config), normalize=True)
        seen, read = seen.float(), read.float()
        right = _equal([e.key for e in shown]).repeat(2, 2)
        contrast = multi_positive_loss(seen, read[: len(seen)], right, model.logit_scale.exp().clamp(max=50))
        alike = multi_positive_loss(
            seen[: batch // 2], seen[batch // 2 :], _equal([e.thing for e in shown]), VIEW_SCALE
        )
        taught = teacher_loss(read[len(seen) :], sentences[1][lines])
        loss = contrast + settings.view_weight * alike + TEACHER_WEIGHT * taught
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        bar.set_postfix(loss=f"{contrast.item():.3f}", refresh=False)
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            save_training_state(checkpoint, model, optimizer, step + 1)
    return model.eval()


def _equal(labels: list[str]) -> torch.Tensor:
    """Return which labels are equal: bool [B, B]."""
    numbers = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    codes = torch.tensor([numbers[label] for label in labels])
    return codes[:, None] == codes


def _fill(tokens: torch.Tensor, config: dict[str, Any]) -> torch.Tensor:
    """Pad token ids [B, L] to the context length that open_clip's position table has."""
    return F.pad(tokens, (0, config["text_cfg"]["context_length"] - tokens.shape[1]))


def save_encoder(model: CLIP, config: dict[str, Any], tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Write the directory that ``open_clip``'s ``local-dir:`` schema loads, weights in fp16."""
    folder.mkdir(parents=True, exist_ok=True)
    half = [0.5, 0.5, 0.5]
    preprocess = {"mean": half, "std": half, "interpolation": "bicubic", "resize_mode": "squash"}
    config_text = json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}, indent=2)
    (folder / CONFIG_NAME).write_text(config_text + "\n", encoding="utf-8")
    state = {name: t.half() if t.is_floating_point() else t for name, t in model.state_dict().items()}
    save_atomically(state, folder / WEIGHTS_NAME)
    tokenizer.save_pretrained(folder)
