"""Inputs and outputs of a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from cultureclip.clip.settings import LoraSettings, RunSettings
from cultureclip.images.source import ImageSource

if TYPE_CHECKING:
    import torch

CARD_FORMAT = 3
ADAPTER_NAME, CARD_NAME, MERGED_NAME = "adapter.safetensors", "card.json", "merged"


@dataclass(frozen=True)
class GeneralPairs:
    """General pictures with a text each, for replay.

    Attributes:
        texts: Pair id -> text.
        pictures: The pictures, by pair id.
    """

    texts: Mapping[str, str]
    pictures: ImageSource


class AdapterCard(BaseModel):
    """Card of an adapter: data to refuse it on another base and to say its origin.

    Attributes:
        format: Version of the card; 1 had no ``layout`` and knew only open_clip's blocks, 1 and 2 only the
            objective's settings.
        layout: How the base names its blocks, which also names the adapter's tensors: see :class:`LoraAdapter`.
        base: Location of the base model.
        base_revision: The base's revision, if it has one.
        base_fingerprint: SHA-256 over the base's weights, config, preprocessing and tokenizer.
        objective: Name of the loss.
        seed: Seed of initial values, data order, augmentation and dropout.
        settings: Settings of the training, with the defects of ``as_released`` written out; None if unknown.
        lora: Places and scale of the update.
        update_scale: Factor on the whole update in the merged model (Wortsman et al. 2022, WiSE-FT).
        parameters: Number of trained parameters.
        step: Optimiser steps after which this state was taken.
        selected_by: Rule that chose the step.
        dev: Figures on the dev twins at that step; empty without dev twins.
        training_key: Digest of data, settings, objective, seed and base.
        licence: Licence of the training data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = CARD_FORMAT
    layout: str = "open_clip"
    base: str
    base_revision: str | None = None
    base_fingerprint: str
    objective: str
    seed: int
    settings: RunSettings | None = None
    lora: LoraSettings
    update_scale: Annotated[float, Field(ge=0, le=1)] = 1.0
    parameters: int
    step: int
    selected_by: str
    dev: dict[str, float] = {}
    training_key: str
    licence: list[str] = []


@dataclass(frozen=True)
class Checkpoint:
    """A trained adapter in memory, ready to be saved.

    Attributes:
        adapter: Low-rank matrices by the name of the module they sit on.
        card: Card of the adapter.
        base: Directory of the base model.
    """

    adapter: dict[str, torch.Tensor]
    card: AdapterCard
    base: Path


@dataclass(frozen=True)
class SavedCheckpoint:
    """A checkpoint on disk.

    Attributes:
        path: Directory with adapter, card and merged model.
        card: Card of the adapter.
    """

    path: Path
    card: AdapterCard

    @property
    def merged_path(self) -> Path:
        """Directory of the tuned model, for ``open_clip``'s ``local-dir:`` or :func:`load_encoder`."""
        return self.path / MERGED_NAME
