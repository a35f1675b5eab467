"""3XCM's association benchmark: a table of image ids, and the pictures with their concepts in two languages."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from cultureclip.benchmarks.formats.parquet import ParquetFormat
from cultureclip.benchmarks.pictures import Located
from cultureclip.benchmarks.protocols.association_bias import CANDIDATES
from cultureclip.benchmarks.rows import IMAGE, Format, Row, Source
from cultureclip.errors import SourceDataError


class AssociationBiasFormat(Format):
    """The two configurations of the owners' dataset as parquet: ``benchmark`` and ``image_metadata``.

    A row's columns are ``concept``, ``concept_in_native``, ``region`` and the pictures ``semantic``, ``cultural`` and
    ``unrelated``.
    """

    type: Literal["association_bias"]
    benchmark: str = Field(default="benchmark/*.parquet", min_length=1)
    images: str = Field(default="image_metadata/*.parquet", min_length=1)

    def pattern(self) -> str:
        """Return the glob of the table of ids."""
        return self.benchmark

    def read(self, path: Path) -> Source:
        """Return one row per query; a picture that the other table lacks is missing in its row.

        Raises:
            SourceDataError: if a file is damaged, or there is no table of pictures.
        """
        images = ParquetFormat(type="parquet", files=self.images)
        if not images.find(path):
            raise SourceDataError(path / self.images, "there are no pictures", "Fetch the configuration image_metadata")
        shown = {str(row.values.get("image_id")): row for row in images.read(path).rows}
        asked = ParquetFormat(type="parquet", files=self.benchmark).read(path).rows
        return Source(_make_row(row.place, row.values, shown) for row in asked)


def _make_row(place: str, asked: Mapping[str, Any], shown: Mapping[str, Row]) -> Row:
    query = shown.get(str(asked.get("query_image_id")))
    native = query.values.get("concept_in_native") if query else None
    values = {
        "concept": asked.get("query_concept"),
        "concept_in_native": native,
        "region": asked.get("query_country"),
    }
    pictures: dict[str, tuple[Located, ...]] = {}
    for column, owner in CANDIDATES.items():
        candidate = shown.get(str(asked.get(f"{owner}_candidate_image_id")))
        if candidate and candidate.pictures.get(IMAGE):
            pictures[column] = candidate.pictures[IMAGE]
    return Row(place, values, pictures)
