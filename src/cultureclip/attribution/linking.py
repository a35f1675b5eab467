"""Linking: the nearest pictures of the knowledge base name entities, and the image picks among their names.

After CAIRe (arXiv 2506.09109): the entities of the 20 nearest pictures are ranked by the similarity of the image with
their names, and the first one with a text is taken. The published score is a sigmoid of the cosine, without the model's
scale: the order is the same.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pandera.pandas as pa

from cultureclip.attribution.embedding import Embedder
from cultureclip.attribution.index import PictureIndex
from cultureclip.attribution.knowledge_base import KnowledgeBase
from cultureclip.attribution.settings import LinkSettings
from cultureclip.errors import IndexMismatchError, SourceDataError
from cultureclip.images.source import ImageSource
from cultureclip.tables import make_table

_COSINE = pa.Check.in_range(-1.001, 1.001)  # a product of unit vectors, in float32

LINKS = pa.DataFrameSchema(
    {
        "image_id": pa.Column(str),
        "rank": pa.Column("Int64", pa.Check.ge(1), nullable=True),  # 1: the likeliest name; null: no candidate
        "entity_id": pa.Column(str, nullable=True),
        "name": pa.Column(str, nullable=True),
        "picture_similarity": pa.Column(float, _COSINE, nullable=True),  # of the entity's nearest picture
        "name_similarity": pa.Column(float, _COSINE, nullable=True),
        "text_length": pa.Column("Int64", pa.Check.ge(0), nullable=True),
        "chosen": pa.Column(bool),  # at most one per image
        "fault": pa.Column(str, nullable=True),  # why the image cannot be read
    },
    unique=["image_id", "rank"],
    strict=True,
)
"""Table of links: one row per image and candidate entity; an unreadable image has one row without an entity."""

_TYPES = {"rank": "Int64", "text_length": "Int64", "entity_id": "str", "name": "str", "fault": "str"}
"""Types of columns that may be null in every row."""


def link_images(
    images: ImageSource,
    ids: Sequence[str],
    knowledge: KnowledgeBase,
    index: PictureIndex,
    embedder: Embedder,
    settings: LinkSettings,
) -> pd.DataFrame:
    """Find the entity that each image shows.

    Args:
        images: The images.
        ids: Which ones; an id that is given twice is linked once.
        knowledge: The knowledge base that the index was built of.
        index: Its pictures.
        embedder: The encoder that built the index.
        settings: Number of neighbours, and the shortest text.

    Returns:
        Table LINKS, image by image in the order of ``ids``, candidates by rank.

    Raises:
        SourceDataError: if there is no image.
        IndexMismatchError: if the index is of another encoder or of another knowledge base.
    """
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        raise SourceDataError("images", "there are none", "Name a folder with images, or generate some")
    index.check_encoder(embedder.fingerprint)
    _check_entities(index, knowledge)
    embedded, faults = embedder.embed_pictures(images, wanted)
    queries = np.stack(list(embedded.values())) if embedded else np.zeros((0, 0), np.float32)
    hits = dict(zip(embedded, index.search(queries, embedder.fingerprint, settings.neighbours), strict=True))
    seen = {image: _entities_seen(near, index) for image, near in hits.items()}
    names = embedder.embed_texts(sorted({knowledge.names[entity] for near in seen.values() for entity in near}))
    rows = []
    for image in wanted:
        if image in faults:
            rows.append({"image_id": image, "chosen": False, "fault": faults[image]})
        else:
            cosines = {entity: float(embedded[image] @ names[knowledge.names[entity]]) for entity in seen[image]}
            rows += _rank(image, seen[image], cosines, knowledge, settings.min_text)
    return make_table(rows, LINKS).astype(_TYPES)


def _check_entities(index: PictureIndex, knowledge: KnowledgeBase) -> None:
    known = knowledge.names.keys()
    if foreign := next((entity for ids in index.entities for entity in ids if entity not in known), None):
        cause = f"its entity {foreign} is not in the knowledge base"
        raise IndexMismatchError("attribution index", cause, "Build the index again: kedro run --pipelines=attribution")


def _entities_seen(near: Sequence[tuple[int, float]], index: PictureIndex) -> dict[str, float]:
    """Return entity id -> cosine of its nearest picture, over the hits of one image."""
    found: dict[str, float] = {}
    for place, cosine in near:
        for entity in index.entities[place]:
            found.setdefault(entity, cosine)
    return found


def _rank(
    image: str, seen: Mapping[str, float], cosines: Mapping[str, float], knowledge: KnowledgeBase, min_text: int
) -> list[dict[str, object]]:
    ordered = sorted(seen, key=lambda entity: (-cosines[entity], entity))
    lengths = {entity: len(knowledge.texts.get(entity, "")) for entity in ordered}
    chosen = next((entity for entity in ordered if lengths[entity] > min_text), None)
    return [
        {
            "image_id": image,
            "rank": rank,
            "entity_id": entity,
            "name": knowledge.names[entity],
            "picture_similarity": seen[entity],
            "name_similarity": cosines[entity],
            "text_length": lengths[entity],
            "chosen": entity == chosen,
            "fault": None,
        }
        for rank, entity in enumerate(ordered, start=1)
    ]
