"""Predictions that tests make up, and how they are scored."""

from typing import Any

import pandas as pd

from cultureclip.scoring.models import ModelName, label_rows
from cultureclip.scoring.settings import ScoringSettings


def label(table: pd.DataFrame) -> pd.DataFrame:
    """Give rows that name a model as text its identity, too."""
    return label_rows(table, map(ModelName.parse, table["model"].unique()))


def scoring(**changes: Any) -> ScoringSettings:
    """How made-up predictions are scored: few sign flips."""
    usual = {"plain_objective": "clip_both", "proposed_objective": "cultureclip", "resamples": 300, "seed": 0}
    return ScoringSettings.model_validate(usual | changes)
