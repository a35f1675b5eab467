"""An index of the knowledge base's pictures: exact inner products (FAISS), with the encoder's fingerprint."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cultureclip.errors import IndexMismatchError, SourceDataError
from cultureclip.reading.json_text import read_object
from cultureclip.reading.text import MAX_DATA_BYTES, RefusedError

VECTORS_NAME, HEADER_NAME = "vectors.faiss", "header.json"
_AGAIN = "Build the index again: kedro run --pipelines=attribution"


@dataclass(frozen=True)
class PictureIndex:
    """Embedded pictures, by place.

    Attributes:
        vectors: The FAISS index, N rows.
        pictures: Picture of each row.
        entities: Ids of the entities that each picture shows.
        fingerprint: The encoder's, see ``models.families.fingerprint_model``.
        faults: Picture that could not be read -> cause; it is not in the index.
    """

    vectors: Any
    pictures: tuple[str, ...]
    entities: tuple[tuple[str, ...], ...]
    fingerprint: str
    faults: Mapping[str, str]

    def search(self, queries: np.ndarray, fingerprint: str, neighbours: int) -> list[list[tuple[int, float]]]:
        """Find the nearest pictures of each query.

        Args:
            queries: L2-normalised, float32 [Q, D].
            fingerprint: Of the encoder that embedded the queries.
            neighbours: Most pictures per query.

        Returns:
            For each query (place of the picture, cosine), the nearest first; equal ones in the order of their places.

        Raises:
            IndexMismatchError: if another encoder built the index.
        """
        self.check_encoder(fingerprint)
        if not len(queries):
            return []
        cosines, places = self.vectors.search(np.ascontiguousarray(queries), min(neighbours, self.vectors.ntotal))
        return [
            sorted(zip(map(int, row), map(float, near), strict=True), key=lambda hit: (-hit[1], hit[0]))
            for row, near in zip(places, cosines, strict=True)
        ]

    def check_encoder(self, fingerprint: str) -> None:
        """Make sure that vectors of an encoder can be compared with the index.

        Raises:
            IndexMismatchError: if another encoder built it.
        """
        if fingerprint != self.fingerprint:
            cause = f"built by the encoder {self.fingerprint[:12]}, asked by {fingerprint[:12]}: cosines mean nothing"
            raise IndexMismatchError("attribution index", cause, _AGAIN)


def save_index(index: PictureIndex, folder: Path) -> None:
    """Write an index into a folder that does not exist yet."""
    import faiss  # pipelines name the type above, and are listed without FAISS

    folder.mkdir(parents=True)
    (folder / VECTORS_NAME).write_bytes(faiss.serialize_index(index.vectors).tobytes())
    header = {
        "fingerprint": index.fingerprint,
        "dimension": int(index.vectors.d),
        "pictures": list(index.pictures),
        "entities": [list(ids) for ids in index.entities],
        "faults": dict(index.faults),
    }
    (folder / HEADER_NAME).write_text(json.dumps(header, ensure_ascii=False), encoding="utf-8")


def load_index(folder: Path) -> PictureIndex:
    """Read an index.

    Raises:
        SourceDataError: if a file is missing or damaged, or the two files do not fit each other.
    """
    import faiss

    try:
        header = read_object(folder / HEADER_NAME, MAX_DATA_BYTES)
        vectors = faiss.deserialize_index(np.frombuffer((folder / VECTORS_NAME).read_bytes(), np.uint8))
        index = PictureIndex(
            vectors,
            tuple(map(str, header["pictures"])),
            tuple(tuple(map(str, ids)) for ids in header["entities"]),
            str(header["fingerprint"]),
            dict(header["faults"]),
        )
        fits = (vectors.ntotal, vectors.d) == (len(index.pictures), header["dimension"])
    except (OSError, RefusedError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise SourceDataError(folder, f"not an index of pictures ({error})", _AGAIN) from error
    if not fits or len(index.entities) != len(index.pictures):
        raise SourceDataError(folder, "vectors and header do not fit each other", _AGAIN)
    return index
