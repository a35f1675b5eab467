"""open_clip's training table, with a column of negative captions beside it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from cultureclip.benchmarks.rows import Row
from cultureclip.concepts.sources.tally import Tally
from cultureclip.exchange.formats.row_format import RowFormat
from cultureclip.exchange.formats.table_files import read_file


class OpenClipCsvFormat(RowFormat):
    """A table with ``filepath`` and ``title``, separated by tabs, as open_clip's ``--train-data`` takes it.

    Attributes:
        separator: Between cells: open_clip's ``--csv-separator``.
        pictures: Folder that file paths count from, below the table's folder.
    """

    own_columns: ClassVar[Mapping[str, str]] = {
        "pos_image": "filepath",
        "pos_caption": "title",
        "neg_caption": "neg_caption",
    }
    one_picture: ClassVar[bool] = True
    captions_alone: ClassVar[bool] = True

    type: Literal["open_clip_csv"]
    separator: str = Field(default="\t", min_length=1, max_length=1)
    pictures: str = ""

    def pattern(self) -> str:
        """Return an empty pattern, because the entry's path is the table."""
        return ""

    def folder(self, path: Path) -> Path:
        """Return the folder of the pictures."""
        return path.parent / self.pictures

    def rows(self, path: Path, tally: Tally) -> Iterator[Row]:
        """Yield the rows of the table."""
        return read_file(path, tally, self.separator)
