"""The folder of an exported dataset, written file by file: one part of the rows is in memory at a time."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

import pandas as pd

from cultureclip.exchange.card import CardFacts, write_card
from cultureclip.exchange.checksums import CARD, CHECKSUMS
from cultureclip.exchange.croissant import describe
from cultureclip.exchange.parquet import encode_part
from cultureclip.exchange.released import encode_rows, image_path
from cultureclip.exchange.settings import ExportSettings
from cultureclip.exchange.webdataset import encode_shard
from cultureclip.ids import bytes_digest
from cultureclip.images.records import encode_image
from cultureclip.images.source import ImageSource
from cultureclip.tables import SIDES

CROISSANT = "croissant.json"


@dataclass(frozen=True)
class DatasetFolder:
    """A dataset that is written when its files are asked for.

    Attributes:
        rows: Rows that leave, from :func:`cultureclip.exchange.rows.divide_rows`.
        images: Their images.
        facts: What the card says.
        settings: Name, formats and sizes.
    """

    rows: pd.DataFrame
    images: ImageSource
    facts: CardFacts
    settings: ExportSettings

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Give every file as (path below the folder, content); the checksums of all others come last."""
        sums: dict[str, str] = {}
        for path, content in self._data():
            sums[path] = bytes_digest(content)
            yield path, content
        parts = {path: checksum for path, checksum in sums.items() if path.startswith("data/")}
        licences = sorted(self.rows["licence"].unique())
        about = describe(self.settings.name, self.facts.summary, licences, parts)
        last = {
            CROISSANT: (json.dumps(about, indent=2, ensure_ascii=False) + "\n").encode(),
            CARD: write_card(self.rows, self.facts, self.settings).encode("utf-8", "replace"),
        }
        for path, content in last.items():
            sums[path] = bytes_digest(content)
            yield path, content
        yield CHECKSUMS, "".join(f"{checksum}  {path}\n" for path, checksum in sorted(sums.items())).encode()

    def _data(self) -> Iterator[tuple[str, bytes]]:
        for split, rows in self.rows.groupby("split", sort=True):
            yield from self._parts(str(split), rows)
            if "released" in self.settings.formats:
                yield f"released/{split}.parquet", encode_rows(rows)
        if "released" in self.settings.formats:
            yield from self._image_files()

    def _parts(self, split: str, rows: pd.DataFrame) -> Iterator[tuple[str, bytes]]:
        size = self.settings.part_rows
        count = ceil(len(rows) / size)
        for number in range(count):
            part = rows.iloc[number * size : (number + 1) * size]
            pngs = self._read({image for side in SIDES for image in part[f"{side}_image_id"]})
            if "parquet" in self.settings.formats:
                yield f"data/{split}-{number:05}-of-{count:05}.parquet", encode_part(part, pngs)
            if "webdataset" in self.settings.formats:
                yield f"webdataset/{split}-{number:06}.tar", encode_shard(part, pngs)

    def _image_files(self) -> Iterator[tuple[str, bytes]]:
        ids = sorted({image for side in SIDES for image in self.rows[f"{side}_image_id"]})
        for start in range(0, len(ids), self.settings.part_rows):
            for image, png in self._read(ids[start : start + self.settings.part_rows]).items():
                yield image_path(image), png

    def _read(self, ids: Any) -> dict[str, bytes]:
        """Return image id -> PNG: the same pixels give the same bytes as in the store."""
        wanted = sorted(ids)
        pictures = self.images.read(wanted)
        return {image: encode_image(image, p, 1, {}).data for image, p in zip(wanted, pictures, strict=True)}
