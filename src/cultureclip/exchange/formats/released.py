"""The published row format of CulTwin: ``pos_`` and ``neg_`` x ``image_path``, ``caption``, ``concept``."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from cultureclip.benchmarks.rows import Row
from cultureclip.concepts.sources.tally import Tally
from cultureclip.exchange.formats.row_format import RowFormat
from cultureclip.exchange.formats.table_files import read_file
from cultureclip.tables import SIDES


class ReleasedFormat(RowFormat):
    """Tables of rows, over image files in folders or with the images inside (parquet).

    Attributes:
        files: Glob of the tables: parquet, JSON lines, a JSON list, CSV or TSV.
        pictures: Folder that image paths count from, below the entry's path.
    """

    own_columns: ClassVar[Mapping[str, str]] = {
        f"{side}_{ours}": f"{side}_{theirs}"
        for side in SIDES
        for ours, theirs in (("image", "image_path"), ("caption", "caption"), ("concept", "concept"))
    }

    type: Literal["released"]
    files: str = Field(default="**/*.parquet", min_length=1)
    pictures: str = ""

    def pattern(self) -> str:
        """Return the glob of the tables."""
        return self.files

    def folder(self, path: Path) -> Path:
        """Return the folder of the image files."""
        return path / self.pictures

    def rows(self, path: Path, tally: Tally) -> Iterator[Row]:
        """Yield the rows of all tables in the order of their names."""
        for file in self.find(path):
            yield from read_file(file, tally)
