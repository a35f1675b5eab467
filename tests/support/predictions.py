"""Predictions that tests make up."""

import pandas as pd

from cultureclip.scoring.models import ModelName, label_rows


def label(table: pd.DataFrame) -> pd.DataFrame:
    """Give rows that name a model as text its identity, too."""
    return label_rows(table, map(ModelName.parse, table["model"].unique()))
