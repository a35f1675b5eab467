"""One training as a unit: kept by the key of what made it, resumed if it was cut off, never done twice."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from cultureclip.clip.batches import HALVES, prepare
from cultureclip.clip.contracts import AdapterCard, Checkpoint, GeneralPairs, ImageSource
from cultureclip.clip.lora import LoraAdapter
from cultureclip.clip.losses import build_objective
from cultureclip.clip.replay import prepare_replay
from cultureclip.clip.settings import RunSettings
from cultureclip.clip.trainer import BEST_NAME, LOG_NAME, STATE_NAME, LogRow, Trainer, best_row, write_json
from cultureclip.errors import TrainingError
from cultureclip.ids import digest
from cultureclip.models.checkpoint import load_tensors, save_atomically
from cultureclip.models.encoder import load_encoder

logger = logging.getLogger(__name__)

RESULT_NAME = "adapter.safetensors"
_LAYOUT = 2  # part of the key: raise it when the same inputs come to train differently
_TEXT_COLUMNS = [f"{half}_{field}" for half in HALVES for field in ("concept", "caption", "image_id")]


def training_key(
    cultwin: pd.DataFrame,
    general: GeneralPairs | None,
    fingerprint: str,
    objective: str,
    seed: int,
    settings: RunSettings,
) -> str:
    """Digest of all that decides a training's outcome; the rows' order is not part of it."""
    rows = cultwin.sort_values("row_id")[["row_id", "split", *_TEXT_COLUMNS]].to_numpy().tolist()
    pairs = sorted(general.texts.items()) if general else []
    return digest("train", _LAYOUT, rows, pairs, settings.model_dump(mode="json"), objective, seed, fingerprint)


def split_rows(cultwin: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and dev rows, in the order of their ids.

    Raises:
        TrainingError: fewer than two twins to train on: there would be nothing to contrast.
    """
    ordered = cultwin.sort_values("row_id")
    train, dev = ordered[ordered["split"] == "train"], ordered[ordered["split"] == "dev"]
    twins = train["twin_id"].nunique()
    if twins < 2:
        raise TrainingError(
            "cultwin",
            f"{twins} twins in {len(train)} training rows ({len(dev)} dev rows, {len(cultwin)} in all); 2 are needed",
            "Accept more twins: see filtering_metrics for why they were rejected",
        )
    return train, dev


def train_adapter(
    cultwin: pd.DataFrame,
    images: ImageSource,
    general: GeneralPairs | None,
    base: Path,
    *,
    card: Mapping[str, object],
    objective: str,
    seed: int,
    settings: RunSettings,
    work_dir: Path,
) -> tuple[Checkpoint, list[LogRow]]:
    """Train an adapter, or take the finished one of the same key.

    Args:
        cultwin: The table of that name.
        images: The pictures that it names.
        general: General pairs to replay; None for none.
        base: Directory of the base model.
        card: What the card says beside the training: base, base_revision, update_scale.
        objective: A name in ``OBJECTIVES``.
        seed: Of everything random.
        settings: All other choices.
        work_dir: Trainings lie here, a folder a key.

    Returns:
        The adapter with its card, and the log: a row for the base and one for each look at the dev twins.

    Raises:
        TrainingError: too few twins, too many unreadable images, a loss that is not finite.
        ConfigurationError: no such objective; a text longer than the context.
        WeightsError: the base cannot be loaded.
    """
    loss = build_objective(objective, settings.objective)
    train_rows, dev_rows = split_rows(cultwin)
    encoder = load_encoder(base, settings.trainer.device)
    key = training_key(cultwin, general, encoder.fingerprint, objective, seed, settings)
    adapter = LoraAdapter(encoder.model, settings.lora, seed)
    folder, name = work_dir / key, f"{objective}, seed {seed}"
    if (folder / RESULT_NAME).exists():
        logger.info("%s: trained before (%s), nothing to do", name, key)
        log: list[LogRow] = json.loads((folder / LOG_NAME).read_text(encoding="utf-8"))
    else:
        share = settings.trainer.max_unreadable_share
        data = prepare(train_rows, images, encoder, settings.texts, share)
        dev = None if dev_rows.empty else prepare(dev_rows, images, encoder, settings.texts, share)
        replay = prepare_replay(general, encoder, settings.texts.long_caption) if general else None
        log = _train(Trainer(encoder, adapter, loss, data, dev, replay, settings, seed, folder, name))
    state, _ = load_tensors(folder / RESULT_NAME)
    chosen = best_row(log, settings.trainer.select_by)
    done = AdapterCard.model_validate(
        {
            **card,
            "base_fingerprint": encoder.fingerprint,
            "objective": objective,
            "objective_settings": settings.objective,
            "seed": seed,
            "lora": settings.lora,
            "parameters": adapter.size(),
            "step": chosen["step"],
            "selected_by": settings.trainer.select_by if "dev_loss" in chosen else "last",
            "dev": {figure: value for figure, value in chosen.items() if figure.startswith("dev_")},
            "training_key": key,
            "licence": sorted(set(cultwin["licence"])),
        }
    )
    return Checkpoint(state, done, base), log


def _train(trainer: Trainer) -> list[LogRow]:
    """Run to the end; the result's file is written last and stands for a finished training."""
    state, log = trainer.run()
    write_json(log, trainer.folder / LOG_NAME)
    save_atomically(state, trainer.folder / RESULT_NAME)
    for leftover in (STATE_NAME, BEST_NAME):
        (trainer.folder / leftover).unlink(missing_ok=True)
    return log
