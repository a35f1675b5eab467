"""From measurements to verdicts: every refused image keeps its row and says why."""

from enum import StrEnum

import numpy as np
import pandas as pd

from cultureclip.judging.duplicates import find_duplicates
from cultureclip.judging.settings import VerdictSettings

_RATINGS = ("authenticity", "consistency", "cultural_fidelity", "safety")
"""Scores that a vision-language judge gives; an image-text encoder has none, and a missing score is null."""


class Reason(StrEnum):
    """Why an image is not used."""

    NOT_GENERATED = "not_generated"
    UNREADABLE = "unreadable"
    NO_BETTER_THAN_CHANCE = "no_better_than_chance"
    CLOSER_TO_TWIN = "closer_to_twin"
    DUPLICATE = "duplicate"
    TWIN_INCOMPLETE = "twin_incomplete"


FAILURES = (Reason.NOT_GENERATED, Reason.UNREADABLE)
"""Reasons that say nothing about the image's content: its verdict is ``failed``, not ``rejected``."""


def decide(measured: pd.DataFrame, settings: VerdictSettings) -> pd.DataFrame:
    """Accept or refuse every image, then every twin as a whole.

    An image must be nearer to its own concept than to its twin's and than to the mean of all concepts, by more than the
    margins, and must not repeat an accepted image of the same concept. A twin with fewer than ``min_images_per_side``
    accepted images on either side loses them all; an image refused before keeps its reason. A twin that is incomplete
    by itself goes before images of different twins are compared: it makes no other twin's image a duplicate.

    Args:
        measured: From :func:`cultureclip.judging.scores.measure`.
        settings: The margins and bounds.

    Returns:
        Table of judgements, one row per image.
    """
    reason = _refuse_by_score(measured, settings)
    duplicate_of, complete = _settle_duplicates(measured, reason.isna(), settings)
    reason = reason.mask(duplicate_of.notna(), str(Reason.DUPLICATE))
    reason = reason.mask(reason.isna() & ~complete, str(Reason.TWIN_INCOMPLETE))
    judged = measured[["image_id", "caption_id", "clip_similarity", "twin_similarity", "chance_similarity"]].copy()
    verdict = np.select([reason.isna(), reason.isin(FAILURES)], ["accepted", "failed"], default="rejected")
    return judged.assign(
        **dict.fromkeys(_RATINGS, np.nan),
        duplicate_of=_nullable(duplicate_of),
        verdict=verdict,
        reason=_nullable(reason),
    )


def _refuse_by_score(measured: pd.DataFrame, settings: VerdictSettings) -> pd.Series:
    """Return the reasons that need no other image; every rule fails a score that is not a number."""
    twin_margin, chance_margin = settings.twin_margin, settings.chance_margin
    own, fault = measured["clip_similarity"], measured["fault"].astype(object)
    reason = pd.Series(None, index=measured.index, dtype=object)
    reason = reason.mask(~(own > measured["twin_similarity"] + twin_margin), str(Reason.CLOSER_TO_TWIN))
    reason = reason.mask(~(own > measured["chance_similarity"] + chance_margin), str(Reason.NO_BETTER_THAN_CHANCE))
    return reason.mask(fault.notna(), fault)


def _settle_duplicates(
    measured: pd.DataFrame, passed: pd.Series, settings: VerdictSettings
) -> tuple[pd.Series, pd.Series]:
    """Return the image that each passed one repeats, and whether its twin is complete without the duplicates.

    First within each twin's sides; then over the twins that are complete so far, again and again while some of them
    become incomplete: a twin that goes makes no other's image a duplicate.
    """
    limits, least = (settings.max_hamming, settings.max_colour_distance), settings.min_images_per_side
    sides = measured.assign(concept_id=measured["twin_id"] + measured["concept_id"])
    duplicate_of = find_duplicates(sides[passed], *limits).reindex(measured.index)
    standing = _complete_twins(measured, passed & duplicate_of.isna(), least)
    while True:
        found = find_duplicates(measured[passed & standing], *limits)
        duplicate_of.loc[found.index] = found
        complete = standing & _complete_twins(measured, passed & duplicate_of.isna(), least)
        if complete.equals(standing):
            return duplicate_of, complete
        standing = complete


def _complete_twins(measured: pd.DataFrame, accepted: pd.Series, least: int) -> pd.Series:
    """Tell whether both sides of each row's twin have enough accepted images (a twin has exactly two sides)."""
    own = accepted.groupby([measured["twin_id"], measured["concept_id"]]).transform("sum")
    other = accepted.groupby(measured["twin_id"]).transform("sum") - own
    return (own >= least) & (other >= least)


def _nullable(column: pd.Series) -> pd.Series:
    """Return text with missing values, in this pandas's dtype for text, even if all values are missing."""
    return column.astype(pd.Series(["text"]).dtype)
