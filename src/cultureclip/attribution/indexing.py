"""Building the index of a knowledge base's pictures."""

import faiss
import numpy as np

from cultureclip.attribution.embedding import Embedder
from cultureclip.attribution.index import PictureIndex
from cultureclip.attribution.knowledge_base import KnowledgeBase
from cultureclip.attribution.pictures import ReferencePictures
from cultureclip.errors import SourceDataError


def build_index(knowledge: KnowledgeBase, embedder: Embedder, picture_size: int) -> PictureIndex:
    """Embed the pictures of a knowledge base and index them; pictures that were embedded before are not read again.

    Raises:
        SourceDataError: if no picture can be read.
    """
    source = ReferencePictures(list(knowledge.pictures), picture_size)
    embedded, faults = embedder.embed_pictures(source, source.ids)
    if not embedded:
        first = next(iter(faults.items()))
        cause = f"none of {len(faults)} pictures can be read, first {first[0]} ({first[1]})"
        raise SourceDataError("knowledge base", cause, "Paths of pictures count from the project's folder")
    matrix = np.stack(list(embedded.values()))
    vectors = faiss.IndexFlatIP(matrix.shape[1])
    vectors.add(matrix)
    entities = tuple(knowledge.pictures[picture] for picture in embedded)
    return PictureIndex(vectors, tuple(embedded), entities, embedder.fingerprint, faults)
