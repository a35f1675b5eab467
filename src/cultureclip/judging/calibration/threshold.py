"""Thresholds of a judge's score that keep an error rate, and the band of scores between them that people decide.

Learn then test (Angelopoulos, Bates, Candes, Jordan and Lei 2021, arXiv 2110.01052): the thresholds are tested in a
fixed order, from the strictest, and the first that fails ends the sequence. So the chosen one keeps its error rate with
the confidence of a single test, however many were tried.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import beta, norm, t

from cultureclip.judging.calibration.settings import ThresholdSettings
from cultureclip.judging.rating import CRITERIA, HIGHEST, LOWEST
from cultureclip.statistics import ClusteredItems

GRID = np.arange(LOWEST * len(CRITERIA), HIGHEST * len(CRITERIA) + 1) / len(CRITERIA)
"""Thresholds that are tried: the values that a mean of three whole ratings can take."""

_TINY = 1e-9


@dataclass(frozen=True)
class Threshold:
    """A threshold with what it does to the images that people rated.

    Attributes:
        score: The threshold; None where no threshold keeps the error rate.
        error: Share of wrongly decided images among those that it decides.
        bound: Upper confidence bound of that share.
        images: Rated images that it decides.
        reason: Why there is no threshold.
    """

    score: float | None = None
    error: float | None = None
    bound: float | None = None
    images: int = 0
    reason: str | None = None


@dataclass(frozen=True)
class Band:
    """Scores that neither threshold decides.

    Attributes:
        share: Share of all images with a score that are left to people; None where neither threshold exists.
        images: Their number.
        reason: Why there is no band.
    """

    share: float | None = None
    images: int | None = None
    reason: str | None = None


def bound_share(wrong: np.ndarray, clusters: np.ndarray, confidence: float) -> float:
    """Return an upper confidence bound of a share, for items that come in clusters.

    Clopper and Pearson's bound (1934) at the effective sample size, scaled for few clusters (Korn and Graubard 1998,
    Survey Methodology 24:193). It is never below the bound of as many clusters without any error: a share of concepts
    of which none was drawn may be wrong throughout.

    Args:
        wrong: 1 for an error, [items].
        clusters: Cluster of each item, [items].
        confidence: Such as 0.95.
    """
    items = ClusteredItems(clusters)
    if items.count < 2:
        return 1.0
    share, error = items.mean(wrong), items.standard_error(wrong)
    unseen = float(beta.ppf(confidence, 1, items.effective_clusters))
    if share in {0.0, 1.0}:
        return unseen if share == 0 else 1.0
    scale = (norm.ppf(confidence) / t.ppf(confidence, items.count - 1)) ** 2
    size = min(share * (1 - share) / max(error, _TINY) ** 2 * scale, len(wrong))
    return max(unseen, float(beta.ppf(confidence, share * size + 1, (1 - share) * size)))


def find_accepting(
    scores: np.ndarray, good: np.ndarray, clusters: np.ndarray, settings: ThresholdSettings, grid: np.ndarray = GRID
) -> Threshold:
    """Find the lowest score from which on images can be accepted.

    Args:
        scores: The judge's mean rating of each image that people rated, [images].
        good: Whether people find it good, [images].
        clusters: Concept of each image, [images].
        settings: Error rate and confidence.
        grid: Thresholds that are tried, ascending.
    """
    decided = {limit: scores >= limit - _TINY for limit in map(float, grid[::-1])}
    return _test_in_order(decided, ~good, clusters, settings)


def find_refusing(scores: np.ndarray, good: np.ndarray, clusters: np.ndarray, settings: ThresholdSettings) -> Threshold:
    """Find the highest score up to which images can be refused; arguments as of :func:`find_accepting`."""
    decided = {limit: scores <= limit + _TINY for limit in map(float, GRID)}
    return _test_in_order(decided, good, clusters, settings)


def find_band(scores: np.ndarray, accepting: Threshold, refusing: Threshold) -> Band:
    """Count the images between the thresholds.

    Args:
        scores: The judge's mean rating of all its images, [images].
        accepting: From :func:`find_accepting`.
        refusing: From :func:`find_refusing`. Where the two overlap, images are accepted.
    """
    if not len(scores):
        return Band(reason="the judge gave no image a score")
    if accepting.score is None and refusing.score is None:
        return Band(reason="neither threshold can be had: people decide every image")
    accepted = scores >= (np.inf if accepting.score is None else accepting.score - _TINY)
    refused = scores <= (-np.inf if refusing.score is None else refusing.score + _TINY)
    left = ~(accepted | refused)
    return Band(float(left.mean()), int(left.sum()))


def _test_in_order(
    decided: dict[float, np.ndarray], wrong: np.ndarray, clusters: np.ndarray, settings: ThresholdSettings
) -> Threshold:
    """Test thresholds in the order given and return the last that passes before the first that fails.

    Those that could not pass even without an error are passed over first. Which ones these are depends on scores and
    concepts alone, not on what people say, so it costs no confidence.

    Args:
        decided: Threshold -> which images it decides, bool [images], from the strictest.
        wrong: Whether deciding an image so is an error, bool [images].
        clusters: Concept of each image, [images].
        settings: Error rate and confidence.
    """
    found = Threshold(reason="too few concepts were rated: even without an error the bound is above the target")
    for limit, inside in decided.items():
        images, concepts = int(inside.sum()), clusters[inside]
        if found.score is None and not _could_pass(images, concepts, settings):
            continue
        errors = wrong[inside].astype(float)
        bound = bound_share(errors, concepts, settings.confidence)
        if bound > settings.target_error:
            failure = f"at the strictest threshold, {limit:.2f}, the share of errors may be {bound:.3f}"
            return found if found.score is not None else Threshold(reason=failure)
        found = Threshold(limit, float(errors.mean()), bound, images)
    return found


def _could_pass(images: int, concepts: np.ndarray, settings: ThresholdSettings) -> bool:
    return images > 0 and bound_share(np.zeros(images), concepts, settings.confidence) <= settings.target_error
