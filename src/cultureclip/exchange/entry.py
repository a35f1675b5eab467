"""A catalog entry of rows that others made, and the handle through which they are read."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from cultureclip.captions.language import ENGLISH
from cultureclip.concepts.sources.source import Category, Region
from cultureclip.concepts.sources.tally import Tally
from cultureclip.exchange.formats.registry import AnyRowFormat
from cultureclip.exchange.formats.row_format import TwinRow


class RowsEntry(BaseModel):
    """Rows of twins in their owner's files.

    Attributes:
        title: Name of the dataset, as ``concepts.source`` has it.
        source: Address of the data, and revision if there is one.
        licence: Licence as an SPDX expression, of rows that give none.
        terms: Use that is allowed. Rows for evaluation alone cannot be imported: imported rows are trained on.
        format: Format of the files on disk.
        category: Category of concepts whose row gives none.
        language: Language of the captions (ISO 639-1).
        cultures: Region codes of concepts whose row gives none; ``001`` is the world.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field(min_length=1, max_length=200)
    source: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    terms: Literal["train", "no_redistribute"]
    format: AnyRowFormat
    category: Category
    language: str = Field(default=ENGLISH, pattern=r"^[a-z]{2}$")
    cultures: Annotated[tuple[Region, ...], Field(min_length=1)]


@dataclass(frozen=True)
class TwinRows:
    """Rows on disk, which are read one at a time.

    Attributes:
        entry: What the catalog says of them.
        path: Folder or file.
    """

    entry: RowsEntry
    path: Path

    def read(self, tally: Tally) -> Iterator[TwinRow]:
        """Yield the rows; see :meth:`cultureclip.exchange.formats.row_format.RowFormat.read`."""
        return self.entry.format.read(self.path, tally)

    def exist(self) -> bool:
        """Tell whether there are files of the format."""
        return bool(self.entry.format.find(self.path))
