"""Nodes of attribution."""

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from cultureclip.attribution.index import PictureIndex
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.images.source import ImageSource
from cultureclip.pipelines.attribution.parameters import AttributionParameters

logger = logging.getLogger(__name__)


def take_concepts(concepts: pd.DataFrame) -> pd.DataFrame:
    """Take the concepts for the knowledge base: their contexts are the texts, their reference pictures the pictures."""
    from cultureclip.attribution.knowledge_base import entities_of_concepts

    return entities_of_concepts(concepts)


def read_entities(parameters: AttributionParameters) -> pd.DataFrame:
    """Read the user's own knowledge base."""
    from cultureclip.attribution.knowledge_base import read_knowledge_base

    return read_knowledge_base(Path(str(parameters.knowledge_base)))


def list_generated(
    images: ImageSource,
    image_requests: pd.DataFrame,
    captions: pd.DataFrame,
    concepts: pd.DataFrame,
    parameters: AttributionParameters,
) -> tuple[pd.DataFrame, ImageSource, pd.DataFrame]:
    """List the generated images, each with the concept that it was asked for and that concept's cultures.

    Returns:
        Table QUERIES, the images, and no ratings.
    """
    from cultureclip.attribution.queries import no_ratings, queries_of_generated

    first = images.ids[: parameters.images.first]
    return queries_of_generated(first, image_requests, captions, concepts), images, no_ratings()


def list_own(parameters: AttributionParameters) -> tuple[pd.DataFrame, ImageSource, pd.DataFrame]:
    """List the images of a folder, or those that people have rated.

    Returns:
        Table QUERIES, the images, and the ratings.
    """
    from cultureclip.attribution.pictures import open_folder
    from cultureclip.attribution.queries import no_ratings, queries_of_files
    from cultureclip.benchmarks.culture_ratings import read_rated

    if parameters.images.rated is None:
        images = open_folder(Path(str(parameters.images.folder)))
        return queries_of_files(images, parameters.images.first), images, no_ratings()
    rated = read_rated(parameters.images.rated)
    for why, rows in rated.left_out.items():
        logger.warning("Rated images: %d rows left out: %s", rows, why)
    return queries_of_files(rated.images, parameters.images.first), rated.images, rated.ratings


def index_pictures(
    entities: pd.DataFrame, attribution_store: KeyedStore, parameters: AttributionParameters
) -> PictureIndex:
    """Embed the pictures of the knowledge base and index them."""
    from cultureclip.attribution.embedding import Embedder
    from cultureclip.attribution.indexing import build_index
    from cultureclip.attribution.knowledge_base import KnowledgeBase

    embedder = Embedder(parameters, attribution_store)
    return build_index(KnowledgeBase.of(entities), embedder, parameters.picture_size)


def link_images(
    queries: pd.DataFrame,
    pictures: ImageSource,
    entities: pd.DataFrame,
    index: PictureIndex,
    attribution_store: KeyedStore,
    parameters: AttributionParameters,
) -> pd.DataFrame:
    """Find the entity that each image shows."""
    from cultureclip.attribution import linking
    from cultureclip.attribution.embedding import Embedder
    from cultureclip.attribution.knowledge_base import KnowledgeBase

    embedder = Embedder(parameters, attribution_store)
    return linking.link_images(
        pictures, list(queries["image_id"]), KnowledgeBase.of(entities), index, embedder, parameters
    )


def grade_images(
    links: pd.DataFrame,
    entities: pd.DataFrame,
    pictures: ImageSource,
    attribution_store: KeyedStore,
    attribution_prompt: dict[str, Any],
    parameters: AttributionParameters,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Let the language model grade the entity of every image for every culture.

    Returns:
        Table ``attributions``, and the model's use: answers, tokens, seconds, cost.
    """
    from cultureclip.attribution.grading import Grader
    from cultureclip.attribution.knowledge_base import KnowledgeBase
    from cultureclip.attribution.prompts import read_attribution_prompt
    from cultureclip.models.chat.open import open_chat_model

    prompt = read_attribution_prompt(attribution_prompt)
    grader = Grader(open_chat_model(parameters.language_model), prompt, parameters, attribution_store)
    graded = grader.grade_images(links, KnowledgeBase.of(entities), pictures, lambda _: parameters.labels)
    return graded, grader.usage.to_metrics(parameters.language_model.prices)


def summarise_attribution(
    attributions: pd.DataFrame,
    links: pd.DataFrame,
    entities: pd.DataFrame,
    index: PictureIndex,
    queries: pd.DataFrame,
    ratings: pd.DataFrame,
    usage: dict[str, Any],
    parameters: AttributionParameters,
) -> dict[str, Any]:
    """Count what was linked and graded, audit the batch, and compare with the truth and with people where known."""
    from cultureclip.attribution.summary import summarise

    resamples = parameters.images.rated.resamples if parameters.images.rated else 0
    metrics = summarise(attributions, links, queries, ratings, resamples)
    known = entities.groupby("entity_id")[["text", "picture"]].count().gt(0).sum()
    metrics["knowledge_base"] = {
        "entities": int(entities["entity_id"].nunique()),
        "with_text": int(known["text"]),
        "with_picture": int(known["picture"]),
        "pictures_indexed": len(index.pictures),
        "pictures_unreadable": len(index.faults),
    }
    for way, found in metrics["grades"].items():
        if found["null"]:
            counts = ", ".join(f"{why} {count:,}" for why, count in found["null"].items())
            logger.warning("Attribution: of %s grades are missing: %s", way, counts)
    return metrics | {"usage": usage}
