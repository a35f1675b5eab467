"""What decides a training's outcome, as one key: the folder of that name holds the outcome."""

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from cultureclip.clip.contracts import GeneralPairs
from cultureclip.clip.data.batches import SIDES
from cultureclip.clip.settings import RunSettings
from cultureclip.ids import digest
from cultureclip.images.source import ImageSource
from cultureclip.models.weights.fingerprint import fingerprint
from cultureclip.tables import NEGATIVE_COLUMNS

RESULT_NAME = "adapter.safetensors"
"""File of the outcome; it has this name once the training is finished."""
_LAYOUT = 6  # part of the key: increase it when training on the same inputs changes
_TEXT_COLUMNS = [f"{side}_{field}" for side in SIDES for field in ("concept", "caption", "image_id")]
_WITHOUT_EFFECT = {
    "augmentation": {"never_mirrored"},  # the key has the setting's result
    "trainer": {"device", "tracker"},
    "launch": {"kind", "backend", "rendezvous", "cluster"},
}


def training_key(
    cultwin: pd.DataFrame,
    images: ImageSource,
    general: GeneralPairs | None,
    base: str,
    objective: str,
    seed: int,
    settings: RunSettings,
    mirrorable: Collection[str] = (),
) -> str:
    """Return the digest of all that decides a training's outcome, without the rows' order and the number of the GPU.

    The base counts by its fingerprint; general pairs that are not replayed are left out.
    """
    columns = ["row_id", "split", *_TEXT_COLUMNS, *(name for name in NEGATIVE_COLUMNS if name in cultwin)]
    rows = cultwin.sort_values("row_id")[columns].to_numpy().tolist()
    pictures = images.checksums(sorted({i for side in SIDES for i in cultwin[f"{side}_image_id"]}))
    ids = sorted(general.texts) if general else []
    pairs = [(i, general.texts[i]) for i in ids] + list(general.pictures.checksums(ids)) if general else []
    concepts = {concept for side in SIDES for concept in cultwin[f"{side}_concept_id"]}
    mirrored = sorted(concepts.intersection(mirrorable)) if settings.augmentation.mirror else []
    device, _, _ = settings.trainer.device.partition(":")
    chosen = settings.model_dump(mode="json", exclude=_WITHOUT_EFFECT)
    # So that a project finds its earlier trainings: no weight that is not used, and a setting under its first name.
    if not settings.objective.hard_negative_weight:
        del chosen["objective"]["hard_negative_weight"]
    chosen["trainer"]["keep_boundary"] = chosen["trainer"].pop("cache_frozen_blocks")
    return digest("train", _LAYOUT, rows, pictures, pairs, mirrored, chosen, device, objective, seed, base)


def find_folder(
    cultwin: pd.DataFrame,
    images: ImageSource,
    general: GeneralPairs | None,
    base: Path,
    *,
    objective: str,
    seed: int,
    settings: RunSettings,
    work_dir: Path,
    mirrorable: Collection[str] = (),
) -> Path:
    """Return the folder that a training's outcome lies in, or will lie in; arguments as of :func:`train_adapter`."""
    replayed = general if settings.replay.batch else None
    return work_dir / training_key(cultwin, images, replayed, fingerprint(base), objective, seed, settings, mirrorable)


def is_finished(folder: Path) -> bool:
    """Tell whether a training's folder holds its result."""
    return (folder / RESULT_NAME).exists()
