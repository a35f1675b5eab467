"""A table in Parquet."""

from pathlib import Path
from typing import Any

import numpy as np
from kedro_datasets._typing import TablePreview
from kedro_datasets.pandas import ParquetDataset

from cultureclip.datasets.versions import WholeVersions


class TableDataset(WholeVersions, ParquetDataset):
    """A :class:`~kedro_datasets.pandas.ParquetDataset` with whole versions, whose preview writes lists out.

    Parquet's lists come back as arrays, and files as bytes. kedro-viz cannot turn them into JSON, and its whole build
    stops at the first.
    """

    def _inspect(self, path: Path) -> None:
        from pyarrow import parquet  # the catalog is listed without it

        parquet.read_metadata(path)  # the metadata is at the end

    def preview(self, nrows: int = 5) -> TablePreview:
        """Return the first rows."""
        table = super().preview(nrows)
        table["data"] = [[_to_json(cell) for cell in row] for row in table["data"]]
        return table


def _to_json(cell: Any) -> Any:
    if isinstance(cell, np.ndarray):
        return ", ".join(map(str, cell))
    return f"{len(cell)} bytes" if isinstance(cell, bytes) else cell
