"""The atlas, or a table of one's own with the same columns: one bad row refuses the whole table."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from cultureclip.concepts.atlas import read_rows
from cultureclip.concepts.sources.found import Found, Row
from cultureclip.concepts.sources.source import Material, Source
from cultureclip.concepts.sources.tally import Tally
from cultureclip.errors import SourceDataError
from cultureclip.ids import bytes_digest
from cultureclip.reading.csv_table import read_csv_table
from cultureclip.reading.text import MAX_DATA_BYTES, RefusedError, read_bytes


class AtlasSource(Source):
    """The table of docs/your-own-concepts.md. Its rows are checked against each other, so none merges with another.

    Attributes:
        path: The file; None is the catalog's entry ``atlas``.
    """

    kind: Literal["atlas"] = "atlas"
    path: str | None = None

    def rows(self, tally: Tally, material: Material) -> Iterator[Row]:
        """Yield the table's rows.

        Raises:
            SourceDataError: if rows are bad; the error lists them.
        """
        text = material.atlas if self.path is None else _read(self.path)
        checked = read_rows(read_csv_table(text, tally.shown), tally.shown)
        tally.rows += len(checked)
        content = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else b""
        tally.files.append({"path": self.path or "atlas", "bytes": len(content), "sha256": bytes_digest(content)})
        for number, row in enumerate(checked, 1):
            concept = row.to_concept()
            found = Found(
                place=f"{self.path or 'atlas'} row {number}",
                name=concept["name"],
                countries=tuple(concept["cultures"]),
                category=concept["category"],
                ref=concept["source_ref"],
                universal=concept["universal"],
                context=concept["context"],
                features=tuple(concept["key_visual_features"]),
                aliases=tuple(concept["aliases"]),
                reference_images=tuple(row.list_pictures()),
            )
            yield Row(
                found=found,
                cultures=tuple(concept["cultures"]),
                category=concept["category"],
                source=concept["source"],
                licence=concept["licence"],
                terms=concept["terms"],
                curated=True,
            )


def _read(path: str) -> str:
    try:
        return read_bytes(Path(path), MAX_DATA_BYTES).decode("utf-8", "surrogateescape")
    except (OSError, RefusedError) as error:
        raise SourceDataError(path, f"cannot be read ({error})", "Give a CSV in UTF-8") from error
