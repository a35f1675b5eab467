"""A table in Parquet."""

from pathlib import Path

import numpy as np
from kedro_datasets._typing import TablePreview
from kedro_datasets.pandas import ParquetDataset

from cultureclip.datasets.versions import WholeVersions


class TableDataset(WholeVersions, ParquetDataset):
    """A :class:`~kedro_datasets.pandas.ParquetDataset` with whole versions, whose preview writes lists out.

    Parquet's lists come back as arrays; kedro-viz cannot turn them into JSON, and its whole build stops at the first.
    """

    def _inspect(self, path: Path) -> None:
        from pyarrow import parquet  # the catalog is listed without it

        parquet.read_metadata(path)  # it lies at the end

    def preview(self, nrows: int = 5) -> TablePreview:
        """The first rows."""
        table = super().preview(nrows)
        table["data"] = [
            [_to_text(cell) if isinstance(cell, np.ndarray) else cell for cell in row] for row in table["data"]
        ]
        return table


def _to_text(cell: np.ndarray) -> str:
    return ", ".join(map(str, cell))
