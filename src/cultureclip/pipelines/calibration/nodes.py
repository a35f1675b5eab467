"""Nodes of the calibration."""

import logging
from typing import Any

import pandas as pd

from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.images.source import ImageSource
from cultureclip.pipelines.calibration.parameters import CalibrationParameters
from cultureclip.pipelines.filtering.parameters import FilteringParameters

logger = logging.getLogger(__name__)


def describe_judgements(judgements: pd.DataFrame, captions: pd.DataFrame, concepts: pd.DataFrame) -> pd.DataFrame:
    """Add concept, category and cultures to every judgement."""
    from cultureclip.judging.calibration.images import describe_images

    return describe_images(judgements, captions, concepts)


def read_ratings(human_ratings: str, judgements: pd.DataFrame) -> pd.DataFrame:
    """Read people's ratings of judged images."""
    from cultureclip.judging.calibration.people import read_people

    return read_people(human_ratings, set(judgements["image_id"]))


def compare_ratings(images: pd.DataFrame, people: pd.DataFrame, parameters: CalibrationParameters) -> pd.DataFrame:
    """Measure every judge's agreement with people, and people's with each other."""
    from cultureclip.judging.calibration.agreement_table import tabulate_agreement
    from cultureclip.judging.calibration.images import split_judges

    tables = [tabulate_agreement(judged, people, parameters) for judged in split_judges(images).values()]
    return pd.concat(tables, ignore_index=True)


def calibrate_judges(images: pd.DataFrame, people: pd.DataFrame, parameters: CalibrationParameters) -> dict[str, Any]:
    """Find every judge's thresholds and corrected share of good images, and models that play several parts."""
    from cultureclip.judging.calibration.calibrate import calibrate_judge, describe_people
    from cultureclip.judging.calibration.images import split_judges
    from cultureclip.judging.calibration.shared_weights import find_shared

    shared = find_shared(parameters.models)
    for pair in shared:
        parts, share = " and ".join(pair["parts"]), pair["share"]
        logger.warning("Calibration: %s share %.0f %% of their weights, and may share blind spots", parts, 100 * share)
    judges = split_judges(images)
    return {
        "people": describe_people(people, parameters),
        "judges": {name: calibrate_judge(judged, people, parameters) for name, judged in judges.items()},
        "shared_weights": shared,
    }


def audit_judges(images: pd.DataFrame, people: pd.DataFrame, parameters: CalibrationParameters) -> pd.DataFrame:
    """Count what every judge, and the decision, did with the images of every group, beside the share of good ones."""
    from cultureclip.judging.calibration.good import find_good
    from cultureclip.judging.calibration.yields import tabulate_yields

    return tabulate_yields(images, find_good(people, parameters.rule))


def measure_diversity(
    described: pd.DataFrame, images: ImageSource, judgement_store: KeyedStore, parameters: FilteringParameters
) -> pd.DataFrame:
    """Measure how much the kept images differ; the image-text judge's embeddings are read from the store."""
    from cultureclip.judging.calibration.diversity import select_kept, tabulate_diversity
    from cultureclip.judging.judge import Judge

    kept = select_kept(described)
    seen = Judge(parameters, judgement_store).look_at(images, kept["image_id"])
    return tabulate_diversity(kept, {identifier: look["embedding"] for identifier, look in seen.items()})


def write_page(
    metrics: dict[str, Any], agreement: pd.DataFrame, judge_audit: pd.DataFrame, diversity: pd.DataFrame
) -> str:
    """Write the figures over all images as one page in Markdown."""
    from cultureclip.report.views.calibration_view import write_calibration

    return write_calibration(metrics, agreement, judge_audit, diversity)
