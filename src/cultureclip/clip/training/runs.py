"""Content-addressed, resumable training runs."""

import logging
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from filelock import FileLock, Timeout

from cultureclip.clip.contracts import AdapterCard, Checkpoint, GeneralPairs
from cultureclip.clip.data.batches import TwinData, prepare
from cultureclip.clip.data.replay import Replay, prepare_replay
from cultureclip.clip.lora.adapter import LoraAdapter
from cultureclip.clip.objectives.losses import OBJECTIVES, build_objective
from cultureclip.clip.settings import RunSettings
from cultureclip.clip.training.keys import RESULT_NAME, find_folder, is_finished
from cultureclip.clip.training.launch import launch_training, threads_for
from cultureclip.clip.training.trainer import BEST_NAME, FROZEN_BLOCKS_NAME, STATE_NAME, Trainer
from cultureclip.clip.training.training_log import LOG_NAME, LogRow, best_row, read_log
from cultureclip.clip.training.worker import Job
from cultureclip.errors import ConfigurationError, StorageError, TrainingError
from cultureclip.images.source import ImageSource
from cultureclip.models.encoder import ImageTextEncoder, load_encoder
from cultureclip.models.weights.checkpoint import load_tensors

logger = logging.getLogger(__name__)

LOCK_NAME, CACHE_NAME = ".lock", "decoded"
_LOOK_EVERY_S = 1.0


def split_rows(cultwin: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return training and dev rows, in the order of their ids.

    Raises:
        TrainingError: if fewer than two twins to train on: there would be nothing to contrast.
    """
    ordered = cultwin.sort_values("row_id")
    train, dev = ordered[ordered["split"] == "train"], ordered[ordered["split"] == "dev"]
    remedy = "Accept more twins: see filtering_metrics for why they were rejected"
    _check_contrast(train, f"training rows ({len(dev)} dev rows, {len(cultwin)} in all)", remedy)
    return train, dev


def _check_settings(settings: RunSettings, dev_rows: pd.DataFrame, general: GeneralPairs | None) -> None:
    """Refuse settings that would silently do nothing."""
    if settings.replay.batch and general is None:
        raise ConfigurationError("replay.batch", "there are no general pairs", "Give some, or set it to 0")
    if settings.trainer.patience is not None and dev_rows.empty:
        raise ConfigurationError("trainer.patience", "there are no dev twins to wait for", "Set it to null")


def _check_pictures(cultwin: pd.DataFrame, objective: str, settings: RunSettings) -> None:
    """Refuse a loss that would take the positive's picture for the negative's.

    Raises:
        ConfigurationError: if rows have one picture and the loss learns from both sides'.
    """
    single = int((cultwin["pos_image_id"] == cultwin["neg_image_id"]).sum())
    if single and build_objective(objective, settings.objective).reads_negative_pictures:
        known = (name for name, kind in OBJECTIVES.items() if not kind().reads_negative_pictures)
        cause = f"it learns from both sides' pictures, and {single:,} of {len(cultwin):,} rows have one picture"
        raise ConfigurationError(f"objective {objective}", cause, f"Without a twin margin these do: {', '.join(known)}")


def _check_contrast(train: pd.DataFrame, described: str, remedy: str) -> None:
    twins = train["twin_id"].nunique()
    if twins < 2:
        raise TrainingError("cultwin", f"{twins} twins in {len(train)} {described}; 2 are needed", remedy)


def train_adapter(
    cultwin: pd.DataFrame,
    images: ImageSource,
    general: GeneralPairs | None,
    base: Path,
    *,
    card: Mapping[str, object],
    name: str,
    objective: str,
    seed: int,
    settings: RunSettings,
    work_dir: Path,
    mirrorable: Collection[str] = (),
) -> tuple[Checkpoint, list[LogRow]]:
    """Train an adapter, or return the finished one of the same key.

    Args:
        cultwin: The table of that name.
        images: The pictures that it names.
        general: General pairs; unused if ``settings.replay.batch`` is 0.
        base: Directory of the base model.
        card: Further fields of the card: base, base_revision, update_scale.
        name: Name for the progress bar and errors.
        objective: A name in ``OBJECTIVES``.
        seed: Seed of everything random.
        settings: All other choices.
        work_dir: Folder of the trainings, one per key, with decoded pictures and the base's embeddings beside them.
        mirrorable: Ids of concepts whose pictures may be mirrored.

    Returns:
        The adapter with its card, and the log: a row for the base and one for each dev evaluation.

    Raises:
        TrainingError: if too few twins, too many unreadable images, a loss that is not finite.
        ConfigurationError: if no such objective; a text longer than the context; patience without dev twins, or replay
            without general pairs.
        WeightsError: if the base cannot be loaded.
        StorageError: if ``work_dir`` cannot be written.
    """
    key_settings, settings = settings, settings.effective()
    build_objective(objective, settings.objective)  # an unknown name stops before any work
    train_rows, dev_rows = split_rows(cultwin)
    general = general if settings.replay.batch else None
    _check_settings(settings, dev_rows, general)
    _check_pictures(cultwin, objective, settings)
    encoder = load_encoder(base, settings.trainer.device)
    adapter = LoraAdapter(encoder.model, settings.lora, seed)
    folder = find_folder(
        cultwin,
        images,
        general,
        base,
        objective=objective,
        seed=seed,
        settings=key_settings,
        work_dir=work_dir,
        mirrorable=mirrorable,
    )
    with _alone_in(folder, name):
        if not is_finished(folder):
            job = Job(
                base=base.resolve(),
                objective=objective,
                seed=seed,
                settings=settings,
                folder=folder.resolve(),
                name=name,
                threads=threads_for(settings.launch.processes),
            )
            cache = work_dir / CACHE_NAME
            inputs = _prepare(train_rows, dev_rows, images, general, encoder, settings, cache, mirrorable)
            _train(job, encoder, adapter, inputs)
        else:
            logger.debug("%s: taken from %s", name, folder)
    log, (state, _) = read_log(folder / LOG_NAME), load_tensors(folder / RESULT_NAME)
    chosen = best_row(log, settings.trainer.select_by)
    done = AdapterCard.model_validate(
        {
            **card,
            "base_fingerprint": encoder.fingerprint,
            "objective": objective,
            "seed": seed,
            "settings": settings,
            "lora": settings.lora,
            "layout": adapter.layout,
            "parameters": adapter.size(),
            "step": chosen["step"],
            "selected_by": settings.trainer.select_by if "dev_loss" in chosen else "last",
            "dev": {figure: value for figure, value in chosen.items() if figure.startswith("dev_")},
            "training_key": folder.name,
            "licence": sorted(set(cultwin["licence"])),
        }
    )
    return Checkpoint(state, done, base), log


class _Inputs(NamedTuple):
    """Inputs of a training, decoded and tokenised."""

    data: TwinData
    dev: TwinData | None
    replay: Replay | None


def _prepare(
    train_rows: pd.DataFrame,
    dev_rows: pd.DataFrame,
    images: ImageSource,
    general: GeneralPairs | None,
    encoder: ImageTextEncoder,
    settings: RunSettings,
    cache: Path,
    mirrorable: Collection[str],
) -> _Inputs:
    def prepared(rows: pd.DataFrame) -> TwinData:
        return prepare(
            rows,
            images,
            encoder,
            settings.texts,
            settings.trainer.max_unreadable_share,
            cache_dir=cache,
            mirrorable=mirrorable,
            zeros_for_unreadable=settings.released(8),
        )

    dev = None if dev_rows.empty else prepared(dev_rows)
    replay = prepare_replay(general, encoder, settings.texts.long_caption, cache) if general else None
    data = prepared(train_rows)
    readable = train_rows[train_rows["row_id"].isin(data.row_ids)]
    _check_contrast(readable, f"readable training rows of {len(train_rows)}", "Run the synthesis pipeline again")
    return _Inputs(data, dev, replay)


@contextmanager
def _alone_in(folder: Path, name: str) -> Iterator[None]:
    """Make a folder and wait until no other run trains the same thing in it: the files of two would mix.

    The operating system holds the lock, so the lock of a killed run does not last.

    Raises:
        StorageError: if a file in the folder, or a training input, cannot be read or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK_NAME)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            logger.info("%s: another run trains the same in %s. Waiting for its result", name, folder)
            lock.acquire(poll_interval=_LOOK_EVERY_S)
        with lock:
            lock.release()  # one of two holds
            yield
    except OSError as error:
        raise StorageError(
            error.filename or folder,
            f"cannot be read or written ({error.strerror or error})",
            "Free disk space or fix the permissions, or set another train.work_dir; then run again",
        ) from error


def _train(job: Job, encoder: ImageTextEncoder, adapter: LoraAdapter, inputs: _Inputs) -> None:
    """Run to the end; the trainer writes log and best adapter, whose final name marks the training as finished."""
    if job.settings.launch.world > 1:
        launch_training(job, *inputs)
    else:
        loss = build_objective(job.objective, job.settings.objective)
        Trainer(
            encoder=encoder,
            adapter=adapter,
            objective=loss,
            **inputs._asdict(),
            settings=job.settings,
            seed=job.seed,
            folder=job.folder,
            name=job.name,
        ).run()
    (job.folder / BEST_NAME).replace(job.folder / RESULT_NAME)
    (job.folder / STATE_NAME).unlink(missing_ok=True)
    shutil.rmtree(job.folder / FROZEN_BLOCKS_NAME, ignore_errors=True)
