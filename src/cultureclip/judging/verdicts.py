"""From measurements to verdicts: every refused image keeps its row and says why."""

import pandas as pd

from cultureclip.judging.duplicates import find_duplicates
from cultureclip.judging.panel import combine_reasons, to_verdicts
from cultureclip.judging.reasons import Reason
from cultureclip.judging.settings import DecisionSettings, VerdictSettings
from cultureclip.tables import JUDGEMENTS

DECISION = "decision"
"""In the column ``judge``: the row that says whether an image is used."""


def decisions(judgements: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that say whether an image is used, one per image."""
    return judgements[judgements["judge"] == DECISION]


def decide(measured: pd.DataFrame, opinions: pd.DataFrame, settings: DecisionSettings) -> pd.DataFrame:
    """Accept or refuse every image, then every twin as a whole.

    The judges' opinions are combined. An accepted image must not repeat another one of the same concept. A twin with
    fewer than ``min_images_per_side`` accepted images on either side loses them all; an image refused before keeps its
    reason. A twin that is incomplete by itself goes before images of different twins are compared: it makes no other
    twin's image a duplicate.

    Args:
        measured: From :func:`cultureclip.judging.scores.measure`.
        opinions: From :func:`cultureclip.judging.panel.ask_judges`.
        settings: How opinions combine, and the bounds.

    Returns:
        Table of judgements: a row per judge and image, and one with the decision.
    """
    reason = combine_reasons(opinions, measured["image_id"], settings)
    duplicate_of, complete = _settle_duplicates(measured, reason.isna(), settings)
    reason = reason.mask(duplicate_of.notna(), str(Reason.DUPLICATE))
    reason = reason.mask(reason.isna() & ~complete, str(Reason.TWIN_INCOMPLETE))
    decided = measured[["image_id", "caption_id"]].assign(
        judge=DECISION, duplicate_of=duplicate_of, verdict=to_verdicts(reason), reason=reason
    )
    table = pd.concat([opinions, decided], ignore_index=True).reindex(columns=list(JUDGEMENTS.columns))
    texts = [name for name, column in JUDGEMENTS.columns.items() if pd.api.types.is_string_dtype(column.dtype.type)]
    return table.assign(**{name: _nullable(table[name]) for name in texts})


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
    compared = passed & standing
    while True:
        found = find_duplicates(measured[compared], *limits)
        duplicate_of.loc[found.index] = found
        complete = standing & _complete_twins(measured, passed & duplicate_of.isna(), least)
        if complete.equals(standing):
            return duplicate_of, complete
        touched = measured["concept_id"].isin(measured.loc[standing & ~complete, "concept_id"])
        compared, standing = passed & complete & touched, complete


def _complete_twins(measured: pd.DataFrame, accepted: pd.Series, least: int) -> pd.Series:
    """Tell whether both sides of each row's twin have enough accepted images (a twin has exactly two sides)."""
    own = accepted.groupby([measured["twin_id"], measured["concept_id"]]).transform("sum")
    other = accepted.groupby(measured["twin_id"]).transform("sum") - own
    return (own >= least) & (other >= least)


def _nullable(column: pd.Series) -> pd.Series:
    """Return text with missing values, in this pandas's dtype for text, even if all values are missing."""
    return column.astype(pd.Series(["text"]).dtype)
