"""Data that the report is made from."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.images.source import ImageSource
from cultureclip.scoring.models import ModelName


@dataclass(frozen=True)
class ReportSettings:
    """Settings of the report.

    Attributes:
        plain: Objective of plain contrastive tuning.
        proposed: Objective that the report is about.
        general: Benchmarks of general ability; all others are about culture.
        max_general_loss: How much general ability the rule allows a model to lose.
        gallery_twins: How many twins the gallery holds at most.
    """

    plain: str
    proposed: str
    general: Collection[str]
    max_general_loss: float
    gallery_twins: int


@dataclass(frozen=True)
class Answers:
    """Outputs of evaluation.

    Attributes:
        predictions: The predictions table.
        scores: The scores table.
        group_scores: The table of group scores.
        confusions: The table of confusions.
        abilities: The table of abilities: culture and general score of every model.
        name_bias: The table of name bias.
        cards: Cards of the benchmarks, in order.
        leak_check: What the check for held-out data compared.
        thumbnails: Small JPEG files of the benchmarks' pictures, by the pictures' keys.
    """

    predictions: pd.DataFrame
    scores: pd.DataFrame
    group_scores: pd.DataFrame
    confusions: pd.DataFrame
    abilities: pd.DataFrame
    name_bias: pd.DataFrame
    cards: Sequence[Mapping[str, Any]]
    leak_check: Mapping[str, Any]
    thumbnails: Mapping[str, bytes]


@dataclass(frozen=True)
class GalleryTables:
    """The tables that the gallery is made from, each as the catalog has it."""

    concepts: pd.DataFrame
    twins: pd.DataFrame
    captions: pd.DataFrame
    image_requests: pd.DataFrame
    judgements: pd.DataFrame
    cultwin: pd.DataFrame


@dataclass(frozen=True)
class StageRecords:
    """Metrics and logs of the stages.

    Attributes:
        metrics: Stage -> its metrics, in the order of the flow.
        training: Model -> rows used, chosen step, dev figures of the base and of the chosen step.
        logs: Model -> its training log.
    """

    metrics: Mapping[str, Mapping[str, Any]]
    training: Mapping[str, Mapping[str, Any]]
    logs: Mapping[ModelName, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class ReportData:
    """Everything that the pages show.

    Attributes:
        answers: What evaluation left.
        tables: The tables of the stages before the training.
        stages: What the stages noted about themselves.
        images: Generated images.
        references: Held-out pictures by concept id.
        run: The run that evaluated: versions, commit, parameters.
        thumbnails: Where thumbnails are kept for the next report; None: nowhere.
    """

    answers: Answers
    tables: GalleryTables
    stages: StageRecords
    images: ImageSource
    references: ImageSource
    run: Mapping[str, Any]
    thumbnails: KeyedStore | None = None
