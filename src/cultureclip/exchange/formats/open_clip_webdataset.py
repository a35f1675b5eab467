"""open_clip's WebDataset shards, with a negative caption in each sample."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from cultureclip.benchmarks.formats.tar_samples import read_samples
from cultureclip.benchmarks.rows import Row
from cultureclip.concepts.sources.tally import Tally
from cultureclip.exchange.formats.row_format import RowFormat
from cultureclip.exchange.formats.tripletclip import as_text
from cultureclip.reading.json_text import parse_object
from cultureclip.reading.pictures import SUFFIXES
from cultureclip.reading.text import RefusedError


class OpenClipWebDatasetFormat(RowFormat):
    """Tar shards with a picture, its caption (``.txt``) and the negative caption of each sample.

    The negative caption is a field of the sample's ``.json``, or a member of its own: the column is named after the
    member then (``neg.txt``).

    Attributes:
        files: Glob of the shards.
    """

    own_columns: ClassVar[Mapping[str, str]] = {
        "pos_image": "image",
        "pos_caption": "txt",
        "neg_caption": "neg_caption",
    }
    one_picture: ClassVar[bool] = True
    captions_alone: ClassVar[bool] = True
    names_columns: ClassVar[bool] = False

    type: Literal["open_clip_webdataset"]
    files: str = Field(default="**/*.tar", min_length=1)

    def pattern(self) -> str:
        """Return the glob of the shards."""
        return self.files

    def rows(self, path: Path, tally: Tally) -> Iterator[Row]:
        """Yield the samples of all shards in the order of their names."""
        kinds = frozenset({"json", "txt", *self.own_columns.values(), *self.columns.values()} - {"image"})
        for shard in self.find(path):
            for sample in read_samples(shard, kinds):
                tally.rows += 1
                texts: dict[str, Any] = {}
                for kind, data in sample.texts.items():
                    texts |= _fields(data) if kind == "json" else {kind: as_text(data)}
                picture = next((where for kind, where in sample.members.items() if kind in SUFFIXES), None)
                yield Row(sample.place, texts, {} if picture is None else {"image": (picture,)})


def _fields(data: bytes) -> dict[str, Any]:
    try:
        return parse_object(data)
    except RefusedError:
        return {}  # the negative caption is missing then, and the reason of the row says so
