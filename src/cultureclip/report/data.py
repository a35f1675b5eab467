"""What the report is made from."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cultureclip.images.source import ImageSource
from cultureclip.report.gallery import GalleryTables
from cultureclip.scoring.models import ModelName


@dataclass(frozen=True)
class ReportSettings:
    """What the report is told by configuration.

    Attributes:
        plain: Objective of plain contrastive tuning.
        proposed: Objective that the report is about.
        general: Benchmarks of general ability; all others are about culture.
        gallery_twins: How many twins the gallery holds at most.
    """

    plain: str
    proposed: str
    general: Collection[str]
    gallery_twins: int


@dataclass(frozen=True)
class ReportData:
    """Everything that the pages show.

    Attributes:
        scores: The scores table.
        predictions: The predictions table.
        group_scores: The table of group scores.
        confusions: The table of confusions.
        abilities: The table of abilities: culture and general score of every model.
        name_bias: The table of name bias.
        cards: Cards of the benchmarks, in order.
        leak_check: What the check for held-out data compared.
        tables: The stages' tables.
        images: Generated images.
        pictures: Held-out pictures by concept id, uint8 [H, W, 3].
        asked: The benchmarks' pictures by key, likewise.
        metrics: Stage -> its metrics, in the order of the flow.
        training: Model -> rows used, chosen step, dev figures of the base and of the chosen step.
        logs: Model -> its training log.
        manifest: What was run: versions, commit, parameters.
    """

    scores: pd.DataFrame
    predictions: pd.DataFrame
    group_scores: pd.DataFrame
    confusions: pd.DataFrame
    abilities: pd.DataFrame
    name_bias: pd.DataFrame
    cards: Sequence[Mapping[str, Any]]
    leak_check: Mapping[str, Any]
    tables: GalleryTables
    images: ImageSource
    pictures: Mapping[str, np.ndarray]
    asked: Mapping[str, np.ndarray]
    metrics: Mapping[str, Mapping[str, Any]]
    training: Mapping[str, Mapping[str, Any]]
    logs: Mapping[ModelName, Sequence[Mapping[str, Any]]]
    manifest: Mapping[str, Any]
