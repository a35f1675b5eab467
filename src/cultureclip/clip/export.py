"""Checkpoints on disk: the adapter by itself, and the tuned model as a directory that open_clip loads."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError
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
from cultureclip.clip.lora import LoraAdapter, merge
from cultureclip.errors import WeightsError
from cultureclip.models.checkpoint import load_tensors, save_atomically
from cultureclip.models.encoder import CONFIG_NAME, WEIGHTS_NAME, ImageTextEncoder

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
)
"""Files that Hugging Face tokenizers are made of; a directory has some of them, or none (open_clip's own tokenizer)."""


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write adapter, card and merged model into a directory: there is a whole one in the end, or none.

    Args:
        checkpoint: What to write.
        folder: Must not exist yet.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    if temporary.exists():
        shutil.rmtree(temporary)
    temporary.mkdir(parents=True)
    save_atomically(checkpoint.adapter, temporary / ADAPTER_NAME)
    (temporary / CARD_NAME).write_text(checkpoint.card.model_dump_json(indent=1) + "\n", encoding="utf-8")
    save_merged(checkpoint, temporary / MERGED_NAME)
    temporary.rename(folder)


def save_merged(checkpoint: Checkpoint, folder: Path) -> None:
    """Write the tuned model: base weights plus update, with the base's config, preprocessing and tokenizer."""
    folder.mkdir(parents=True)
    for name in (CONFIG_NAME, *TOKENIZER_FILES):
        if (checkpoint.base / name).is_file():
            shutil.copyfile(checkpoint.base / name, folder / name)
    base, metadata = load_tensors(checkpoint.base / WEIGHTS_NAME)
    merged = merge(base, checkpoint.adapter, checkpoint.card.lora.scale, checkpoint.card.update_scale)
    save_atomically(merged, folder / WEIGHTS_NAME, metadata)


def read_card(path: Path) -> AdapterCard:
    """Read an adapter's card.

    Raises:
        WeightsError: it is missing, damaged, or of a newer layout.
    """
    if not path.is_file():
        raise WeightsError(path, "no such card", "Give the directory of a checkpoint")
    try:
        card = AdapterCard.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise WeightsError(path, f"not an adapter's card ({error.errors()[0]['msg']})", "Train again") from error
    if card.format > CARD_FORMAT:
        raise WeightsError(path, f"layout {card.format} is newer than {CARD_FORMAT}", "Update this package")
    return card


def open_checkpoint(folder: Path) -> SavedCheckpoint:
    """A handle on what :func:`save_checkpoint` wrote.

    Raises:
        WeightsError: it is no checkpoint.
    """
    return SavedCheckpoint(folder, read_card(folder / CARD_NAME))


def load_adapter(folder: Path, encoder: ImageTextEncoder) -> LoraAdapter:
    """Put a saved adapter onto its base model, in place, unmerged.

    Raises:
        WeightsError: the adapter was trained on another base, or its files are damaged.
    """
    card = read_card(folder / CARD_NAME)
    if card.base_fingerprint != encoder.fingerprint:
        raise WeightsError(
            folder,
            f"trained on the base {card.base} {card.base_fingerprint[:12]}, not on {encoder.fingerprint[:12]}",
            "Load the base that the card names",
        )
    state: Mapping[str, Tensor] = load_tensors(folder / ADAPTER_NAME)[0]
    adapter = LoraAdapter(encoder.model, card.lora, card.seed)
    adapter.load(state)
    encoder.model.eval()
    return adapter
