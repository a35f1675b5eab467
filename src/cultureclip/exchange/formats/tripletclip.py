"""TripletCLIP's triplets: tar shards with a picture and a caption, and a negative picture and caption, per sample."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from cultureclip.benchmarks.formats.tar_samples import read_samples
from cultureclip.benchmarks.rows import Row
from cultureclip.concepts.sources.tally import Tally
from cultureclip.exchange.formats.row_format import RowFormat
from cultureclip.reading.text import RefusedError, decode

_PICTURES, _TEXTS = ("image", "neg_image"), frozenset({"caption", "neg_caption"})


class TripletClipFormat(RowFormat):
    """``shard-0.tar ...`` with ``<key>.image``, ``.neg_image``, ``.caption`` and ``.neg_caption``.

    Attributes:
        files: Glob of the shards.
    """

    own_columns: ClassVar[Mapping[str, str]] = {
        "pos_image": "image",
        "neg_image": "neg_image",
        "pos_caption": "caption",
        "neg_caption": "neg_caption",
    }
    captions_alone: ClassVar[bool] = True
    names_columns: ClassVar[bool] = False

    type: Literal["tripletclip"]
    files: str = Field(default="**/*.tar", min_length=1)

    def pattern(self) -> str:
        """Return the glob of the shards."""
        return self.files

    def rows(self, path: Path, tally: Tally) -> Iterator[Row]:
        """Yield the samples of all shards in the order of their names; a text that is not UTF-8 is missing."""
        for shard in self.find(path):
            for sample in read_samples(shard, _TEXTS):
                tally.rows += 1
                texts = {kind: as_text(data) for kind, data in sample.texts.items()}
                pictures = {kind: (sample.members[kind],) for kind in _PICTURES if kind in sample.members}
                yield Row(sample.place, texts, pictures)


def as_text(data: bytes) -> str:
    """Return the text of a member; empty if it is not UTF-8, so that the row is refused for lack of it."""
    try:
        return decode(data)
    except RefusedError:
        return ""
