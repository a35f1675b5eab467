"""This project's own exports: rows with both images inside, their ids, split, licences and facts of the concepts."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal

from cultureclip.benchmarks.rows import Row
from cultureclip.concepts.sources.tally import Tally
from cultureclip.exchange.formats.row_format import FIELDS, RowFormat
from cultureclip.exchange.formats.table_files import read_file


class CultureClipFormat(RowFormat):
    """The folder that the export writes; read are ``data/<split>-*.parquet``.

    Ids are kept, so an image, a row and a training have the same ids in both projects.
    """

    own_columns: ClassVar[Mapping[str, str]] = {field: field for field in FIELDS}

    type: Literal["cultureclip"]

    def pattern(self) -> str:
        """Return the glob of the parts."""
        return "data/*-*.parquet"

    def rows(self, path: Path, tally: Tally) -> Iterator[Row]:
        """Yield the rows of all parts; the name of a part begins with its split."""
        for file in self.find(path):
            split = file.name.partition("-")[0]
            for row in read_file(file, tally):
                yield Row(row.place, {**row.values, "split": split}, row.pictures)
