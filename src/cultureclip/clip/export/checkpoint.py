"""Checkpoints on disk: the adapter by itself, and the tuned model as a directory that open_clip loads."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError
from safetensors import safe_open
from torch import Tensor

from cultureclip.clip.contracts import (
    ADAPTER_NAME,
    CARD_FORMAT,
    CARD_NAME,
    MERGED_NAME,
    AdapterCard,
    Checkpoint,
    SavedCheckpoint,
)
from cultureclip.clip.lora.adapter import LoraAdapter
from cultureclip.clip.lora.merging import merge
from cultureclip.engine.folders import building
from cultureclip.errors import WeightsError
from cultureclip.models.encoder import CONFIG_NAME, WEIGHTS_NAME, ImageTextEncoder, load_encoder
from cultureclip.models.weights.checkpoint import load_tensors, save_atomically
from cultureclip.models.weights.fingerprint import TOKENIZER_FILES
from cultureclip.models.weights.open_clip_weights import find_open_clip_weights
from cultureclip.models.weights.pickled_files import is_pickle, refuse_pickle
from cultureclip.reading.json_text import read_object
from cultureclip.reading.text import RefusedError


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write adapter, card and merged model into a directory, completely or not at all.

    Args:
        checkpoint: Checkpoint to write.
        folder: Must not exist yet.

    Raises:
        StorageError: if the folder exists.
    """
    with building(folder) as temporary:
        save_atomically(checkpoint.adapter, temporary / ADAPTER_NAME)
        (temporary / CARD_NAME).write_text(checkpoint.card.model_dump_json(indent=1) + "\n", encoding="utf-8")
        save_merged(checkpoint, temporary / MERGED_NAME)


def save_merged(checkpoint: Checkpoint, folder: Path) -> None:
    """Write the tuned model: base weights plus update, with the base's config, preprocessing and tokenizer."""
    card = checkpoint.card
    save_adapted(checkpoint.base, checkpoint.adapter, card.lora.scale, folder, card.update_scale)


def save_adapted(
    base: Path, adapter: Mapping[str, Tensor], scale: float, folder: Path, update_scale: float = 1.0
) -> None:
    """Write a base model with an adapter merged into its weights as a directory that open_clip loads.

    Args:
        base: Directory of the model that the adapter was trained on.
        adapter: From :meth:`~cultureclip.clip.lora.adapter.LoraAdapter.state`.
        scale: alpha / rank.
        folder: Must not exist yet.
        update_scale: Share of the update, 0 (the base) to 1.
    """
    folder.mkdir(parents=True)
    for name in (CONFIG_NAME, *TOKENIZER_FILES):
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)
    weights = load_encoder(base).model.state_dict()  # by the model's own names, whatever the file calls them
    with safe_open(find_open_clip_weights(base), framework="pt") as handle:
        metadata = handle.metadata()
    save_atomically(merge(weights, adapter, scale, update_scale), folder / WEIGHTS_NAME, metadata)


def save_scaled(checkpoint: SavedCheckpoint, base: Path, scale: float, folder: Path) -> None:
    """Write the model with another share of the update than its card says: a point of the WiSE-FT sweep.

    Args:
        checkpoint: A tuned model.
        base: Directory of the base that it was tuned from.
        scale: Share of the update, 0 (the base) to 1.
        folder: Must not exist yet.
    """
    adapter = read_weights(checkpoint.path / ADAPTER_NAME)
    save_merged(Checkpoint(adapter, checkpoint.card.model_copy(update={"update_scale": scale}), base), folder)


def read_card(path: Path) -> AdapterCard:
    """Read an adapter's card.

    Raises:
        WeightsError: if it is missing, damaged, or of a newer version.
    """
    if not path.is_file():
        raise WeightsError(path, "no such card", "Give the directory of a checkpoint")
    try:
        content = read_object(path)
        version = content.get("format")
        if isinstance(version, int) and version > CARD_FORMAT:  # before its fields, which this version may not know
            raise WeightsError(path, f"version {version} is newer than {CARD_FORMAT}", "Update this package")
        if version in (1, 2):
            content.pop("objective_settings", None)  # a part of the settings, which these did not have
        return AdapterCard.model_validate(content)
    except ValidationError as error:
        raise WeightsError(path, f"not an adapter's card ({error.errors()[0]['msg']})", "Train again") from error
    except (OSError, RefusedError) as error:
        raise WeightsError(path, f"not an adapter's card ({error})", "Train again") from error


def open_checkpoint(folder: Path) -> SavedCheckpoint:
    """Return a handle on the files that :func:`save_checkpoint` wrote.

    Raises:
        WeightsError: if it is not a checkpoint.
    """
    return SavedCheckpoint(folder, read_card(folder / CARD_NAME))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return an adapter's tensors by name.

    Raises:
        WeightsError: if the file is missing, damaged, holds NaN or infinity, or is a pickle, which could run code when
            it is opened.
    """
    found = path if path.is_file() else next(iter(sorted(path.parent.glob(f"{path.stem}.*"))), path)
    if found.is_file() and is_pickle(found):
        raise refuse_pickle(found, path)
    return load_tensors(path)[0]


def load_adapter(folder: Path, encoder: ImageTextEncoder) -> LoraAdapter:
    """Put a saved adapter onto its base model, in place and unmerged; ``update_scale`` is for the merged model only.

    Raises:
        WeightsError: if the adapter was trained on another base, or its files are damaged; the model is then unchanged.
    """
    card = read_card(folder / CARD_NAME)
    if card.base_fingerprint != encoder.fingerprint:
        raise WeightsError(
            folder,
            f"trained on the base {card.base} {card.base_fingerprint[:12]}, not on {encoder.fingerprint[:12]}",
            "Load the base that the card names",
        )
    state = read_weights(folder / ADAPTER_NAME)
    adapter = LoraAdapter(encoder.model, card.lora, card.seed)
    try:
        if adapter.layout != card.layout:
            raise WeightsError(
                folder,
                f"its tensors are named as in the layout {card.layout}, but the base's is {adapter.layout}",
                "Use the versions of open_clip and timm that it was trained with",
            )
        adapter.load(state)
    except WeightsError:
        adapter.remove()
        raise
    encoder.model.eval()
    return adapter
