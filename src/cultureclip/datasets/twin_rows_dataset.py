"""Rows of twins in their owner's format, as a Kedro dataset."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from cultureclip.errors import ConfigurationError

if TYPE_CHECKING:  # listings need the catalog without the readers of rows
    from cultureclip.exchange.entry import TwinRows


class TwinRowsDataset(AbstractDataset[NoReturn, "TwinRows"]):
    """Loads a handle of the rows; the files are read when the import asks for them.

    Example:
        .. code-block:: yaml

            twin_rows:
              type: cultureclip.datasets.twin_rows_dataset.TwinRowsDataset
              filepath: data/01_raw/cultwin
              title: CulTwin
              source: https://huggingface.co/datasets/<owner>/<name>
              licence: Apache-2.0
              terms: train
              format: {type: released, files: "*.parquet"}
              category: Symbol
              cultures: ["001"]
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None, **entry: Any) -> None:
        """Name the rows.

        Args:
            filepath: Folder or file of the rows.
            metadata: Anything, kept for plugins.
            entry: The fields of :class:`cultureclip.exchange.entry.RowsEntry`.

        Raises:
            ConfigurationError: if fields are unknown, missing or wrong.
        """
        from pydantic import ValidationError

        from cultureclip.exchange.entry import RowsEntry

        self._filepath = Path(filepath)
        self.metadata = metadata
        try:
            self._entry = RowsEntry(**entry)
        except ValidationError as error:
            places = [".".join(map(str, wrong["loc"])) or "entry" for wrong in error.errors()]
            fields = "; ".join(f"{place}: {e['msg']}" for place, e in zip(places, error.errors(), strict=True))
            raise ConfigurationError(f"catalog entry of {filepath}", fields, "See docs/import.md") from error

    def load(self) -> "TwinRows":
        """Return a handle of the rows."""
        from cultureclip.exchange.entry import TwinRows

        return TwinRows(self._entry, self._filepath)

    def save(self, data: NoReturn) -> NoReturn:  # noqa: ARG002 - Kedro's signature
        """Refuse to save.

        Raises:
            DatasetError: always.
        """
        raise DatasetError(f"{self}: rows of others are not made by a node. Put the owner's files there")

    def _exists(self) -> bool:
        return self.load().exist()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "format": self._entry.format.type}
