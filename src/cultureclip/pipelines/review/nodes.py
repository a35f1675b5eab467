"""Nodes of the review."""

import logging
from typing import Any

import pandas as pd

from cultureclip.review.settings import ReviewSettings

logger = logging.getLogger(__name__)


def measure_agreement(twin_reviews: pd.DataFrame, twins: pd.DataFrame, parameters: ReviewSettings) -> dict[str, Any]:
    """Compare reviewers with each other and with the search's measures, and find the thresholds that follow."""
    from cultureclip.errors import SourceDataError
    from cultureclip.review import agreement

    if twin_reviews["decision"].isna().all():
        raise SourceDataError("twin_reviews", "nobody has decided anything", "Review some pairs first: kedro review")
    metrics = agreement.measure_agreement(twin_reviews, twins, parameters)
    for bound, found in metrics["thresholds"].items():
        if found["value"] is None:
            logger.info("Review: no threshold for mining.twins.%s: %s", bound, found["reason"])
        else:
            logger.info("Review: mining.twins.%s can be %.4f", bound, found["value"])
    return metrics
