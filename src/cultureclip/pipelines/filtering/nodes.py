"""Nodes of the filtering stage."""

import logging
from typing import Any

import pandas as pd

from cultureclip.concepts.regions import region_name
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.settings import HERE, EngineSettings
from cultureclip.images.source import ImageSource
from cultureclip.pipelines.filtering.parameters import FilteringParameters

logger = logging.getLogger(__name__)


def measure_images(
    images: ImageSource,
    image_requests: pd.DataFrame,
    captions: pd.DataFrame,
    twins: pd.DataFrame,
    concepts: pd.DataFrame,
    judgement_store: KeyedStore,
    parameters: FilteringParameters,
    engine: EngineSettings = HERE,
) -> pd.DataFrame:
    """Let the judge score every planned image; scores of earlier runs are read from the store."""
    from cultureclip.concepts.exclusions import leave_out
    from cultureclip.judging.judge import Judge
    from cultureclip.judging.scores import list_sides, measure
    from cultureclip.judging.texts import concept_texts, embed_concepts

    sides = list_sides(image_requests, captions, twins)
    sides = leave_out(sides, parameters.exclude.find(concepts), "Filtering").reset_index(drop=True)
    judge = Judge(parameters, judgement_store, engine)
    texts = embed_concepts(judge, concept_texts(concepts, parameters.concept_templates, region_name))
    return measure(sides, images, judge, concepts["concept_id"].tolist(), texts)


def ask_judges(
    measurements: pd.DataFrame,
    images: ImageSource,
    concepts: pd.DataFrame,
    judgement_store: KeyedStore,
    rating_prompt: dict[str, Any],
    attribution_prompt: dict[str, Any],
    parameters: FilteringParameters,
    engine: EngineSettings = HERE,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Let every judge that decides give its opinion of every image; what was asked before is read from the store.

    Returns:
        Opinions, and by judge the use of its chat model: answers, tokens, seconds, cost.
    """
    from cultureclip.judging.judge import Judge
    from cultureclip.judging.panel import Material
    from cultureclip.judging.panel import ask_judges as ask

    material = Material(
        measurements,
        images,
        concepts,
        judgement_store,
        rating_prompt,
        attribution_prompt,
        encoder=Judge(parameters, judgement_store, engine),
        engine=engine,
    )
    opinions, deciding = ask(material, parameters), parameters.judges.decide
    usage = {}
    if (rater := parameters.vision_language) and "vision_language" in deciding:
        usage["vision_language"] = material.usage.to_metrics(rater.model.prices)
    if (grader := parameters.attribution) and "attribution" in deciding:
        usage["attribution"] = material.attribution_usage.to_metrics(grader.language_model.prices)
    return opinions, usage


def judge_images(measurements: pd.DataFrame, opinions: pd.DataFrame, parameters: FilteringParameters) -> pd.DataFrame:
    """Turn opinions into verdicts: first every image by itself, then every twin as a whole."""
    from cultureclip.judging.verdicts import decide

    return decide(measurements, opinions, parameters)


def select_twins(
    judgements: pd.DataFrame,
    image_requests: pd.DataFrame,
    captions: pd.DataFrame,
    twins: pd.DataFrame,
    concepts: pd.DataFrame,
    parameters: FilteringParameters,
) -> pd.DataFrame:
    """Pair the accepted images of both sides into training rows."""
    from cultureclip.concepts.exclusions import leave_out
    from cultureclip.judging.selection import build_cultwin

    rows = build_cultwin(judgements, image_requests, captions, twins, concepts, licence=parameters.licence)
    return leave_out(rows, parameters.exclude.find(concepts), "Filtering").reset_index(drop=True)


def summarise_filtering(
    judgements: pd.DataFrame,
    measurements: pd.DataFrame,
    cultwin: pd.DataFrame,
    concepts: pd.DataFrame,
    usage: dict[str, Any],
    parameters: FilteringParameters,
) -> dict[str, Any]:
    """Count kept and refused images and twins, and warn when too few twins are left."""
    from cultureclip.judging.summary import find_shortfalls, summarise

    kinds = parameters.min_twins_per_kind
    metrics = summarise(judgements, measurements, cultwin, concepts, kinds) | {"usage": usage}
    for shortfall in find_shortfalls(metrics, parameters.min_twins, kinds):
        logger.warning("Filtering: %s; rejected by reason: %s", shortfall, metrics["rejected"])
    return metrics
