"""SugarCrepe-style pairs: one picture, its caption and a negative caption, in JSON files."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from cultureclip.benchmarks.formats.json_files import SugarCrepeFormat
from cultureclip.benchmarks.rows import Row
from cultureclip.concepts.sources.tally import Tally
from cultureclip.exchange.formats.row_format import RowFormat


class SugarCrepePairs(RowFormat):
    """``{"0": {"filename", "caption", "negative_caption"}, ...}``, and a folder of pictures.

    Attributes:
        annotations: Glob of the JSON files.
        pictures: Folder of the pictures, below the entry's path.
    """

    own_columns: ClassVar[Mapping[str, str]] = {
        "pos_image": "image",
        "pos_caption": "caption",
        "neg_caption": "negative_caption",
    }
    one_picture: ClassVar[bool] = True
    captions_alone: ClassVar[bool] = True

    type: Literal["sugarcrepe"]
    annotations: str = Field(default="*.json", min_length=1)
    pictures: str = ""

    def pattern(self) -> str:
        """Return the glob of the JSON files."""
        return self.annotations

    def rows(self, path: Path, tally: Tally) -> Iterator[Row]:
        """Yield the rows of all files."""
        reader = SugarCrepeFormat(type="sugarcrepe", annotations=self.annotations, pictures=self.pictures)
        for row in reader.read(path).rows:
            tally.rows += 1
            yield row
