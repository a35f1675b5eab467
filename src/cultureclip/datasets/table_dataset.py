"""A table in Parquet that kedro-viz can show, lists included."""

import numpy as np
from kedro_datasets._typing import TablePreview
from kedro_datasets.pandas import ParquetDataset


class TableDataset(ParquetDataset):
    """A :class:`~kedro_datasets.pandas.ParquetDataset` whose preview writes lists out.

    Parquet's lists come back as arrays; kedro-viz cannot turn them into JSON, and its whole build stops at the first.
    """

    def preview(self, nrows: int = 5) -> TablePreview:
        """The first rows."""
        table = super().preview(nrows)
        table["data"] = [
            [_to_text(cell) if isinstance(cell, np.ndarray) else cell for cell in row] for row in table["data"]
        ]
        return table


def _to_text(cell: np.ndarray) -> str:
    return ", ".join(map(str, cell))
