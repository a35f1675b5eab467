"""Hofstede's Cultural Alignment Test: six indices of 24 answers, and how a model ranks countries by them.

The formulas are those of the VSM 2013 manual, in the test of Masoud et al. (arXiv 2309.12342). With m_i the mean answer
to item i on a scale of 1 to 5, an index is a (m_i - m_j) + b (m_k - m_l) + C. The constant C is free: it moves all
countries alike, so no ranking depends on it. Both the test's paper and CulturePark print 25 as the second weight of
MAS, the manual has 35: ``mas_second_weight`` offers either.
"""

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
import pandas as pd
from pydantic import Field
from scipy.stats import kendalltau, rankdata

from cultureclip.audit.measures.intervals import jackknife, transform
from cultureclip.settings_base import Settings
from cultureclip.statistics import Estimate

Index = Literal["pdi", "idv", "mas", "uai", "lto", "ivr"]
INDICES: tuple[Index, ...] = get_args(Index)
ITEMS = 24
"""Items that the indices are made of, numbered from 1; the scale of each is 1 to SCALE."""
SCALE = 5
LEAST_COUNTRIES = 8
"""Fewest countries for an interval of tau: of three countries it takes four values."""

_TERMS: Mapping[Index, tuple[tuple[float, int, int], tuple[float, int, int]]] = {
    "pdi": ((35, 7, 2), (25, 20, 23)),
    "idv": ((35, 4, 1), (35, 9, 6)),
    "mas": ((35, 5, 3), (35, 8, 10)),
    "uai": ((40, 18, 15), (25, 21, 24)),
    "lto": ((40, 13, 14), (25, 19, 22)),
    "ivr": ((35, 12, 11), (40, 17, 16)),
}
"""Index -> (weight, item that counts for it, item that counts against it), twice."""


class IndexSettings(Settings):
    """What is free in the formulas.

    Attributes:
        mas_second_weight: Weight of items 8 and 10 in MAS: 35 in the manual, 25 in two papers.
        constants: C of each index; those not named are 0.
    """

    mas_second_weight: Literal[25, 35] = 35
    constants: dict[Index, float] = Field(default_factory=dict)


def compute_indices(means: Mapping[int, float], settings: IndexSettings) -> dict[Index, float | None]:
    """Compute the six indices.

    Args:
        means: Item, 1 to 24 -> its mean answer, 1 to 5.
        settings: What is free in the formulas.

    Returns:
        Index -> its value; None where one of its four items has no answer.
    """
    found: dict[Index, float | None] = {}
    for index, terms in _TERMS.items():
        if not {item for _, *items in terms for item in items} <= means.keys():
            found[index] = None
            continue
        (first, a, b), (second, c, d) = terms
        second = settings.mas_second_weight if index == "mas" else second
        constant = settings.constants.get(index, 0.0)
        found[index] = first * (means[a] - means[b]) + second * (means[c] - means[d]) + constant
    return found


def estimate_indices(
    items: np.ndarray, wordings: np.ndarray, answers: np.ndarray, settings: IndexSettings
) -> dict[Index, tuple[float | None, Estimate | None]]:
    """Compute the indices of a country, and their intervals by the jackknife over wordings.

    The 24 items are all that there are, so they are no sample; wordings (with the order of the options) are.

    Args:
        items: Item of each answer, int [N].
        wordings: Its wording, [N].
        answers: The answers, 1 to 5, [N].
        settings: What is free in the formulas.

    Returns:
        Index -> its value or None, and its interval; the interval is None with one wording, where all wordings agree,
        and where an item has answers in one wording alone.
    """
    values = compute_indices(_means(items, answers), settings)
    left_out = [
        compute_indices(_means(items[wordings != wording], answers[wordings != wording]), settings)
        for wording in np.unique(wordings)
    ]
    found: dict[Index, tuple[float | None, Estimate | None]] = {}
    for index, value in values.items():
        others = [one[index] for one in left_out]
        known = value is not None and None not in others
        found[index] = value, jackknife(value, np.array(others, float)) if known and value is not None else None
    return found


def estimate_tau(model: np.ndarray, published: np.ndarray) -> tuple[float | None, Estimate | None]:
    """Compare a model's order of countries with the published one: Kendall's tau-b, and its interval over countries.

    The interval is the jackknife's on Fisher's scale, atanh(tau).

    Args:
        model: A model's index of each country, [C].
        published: The published ones, [C].

    Returns:
        Tau, None where either side has no order (fewer than two countries, or all tied); and its interval, None for
        fewer than LEAST_COUNTRIES countries, or where leaving any one out changes nothing.
    """
    if len(model) < 2 or np.ptp(model) == 0 or np.ptp(published) == 0:
        return None, None
    value = float(kendalltau(model, published, variant="b").statistic)
    if len(model) < LEAST_COUNTRIES:
        return value, None
    left_out = _taus_without_each(model, published)
    if not np.isfinite(left_out).all():
        return value, None
    found = jackknife(_atanh(value), np.vectorize(_atanh)(left_out))
    return value, None if found is None else transform(found, np.tanh)


def share_misranked(model: pd.DataFrame, published: pd.DataFrame) -> dict[str, float | None]:
    """Return for each country the share of indices in which its rank is another than the published one.

    Args:
        model: A row per country and a column per index; NaN where not known.
        published: Likewise, of the same countries.

    Returns:
        Country -> share, None where no index is known on both sides.
    """
    wrong = pd.DataFrame(index=model.index, columns=list(INDICES), dtype=float)
    for index in INDICES:
        known = model[index].notna() & published[index].notna()
        ranks = [rankdata(table.loc[known, index]) for table in (model, published)]
        wrong.loc[known, index] = (ranks[0] != ranks[1]).astype(float)
    shares = wrong.mean(axis=1)
    return {str(country): None if pd.isna(share) else float(share) for country, share in shares.items()}


def _means(items: np.ndarray, answers: np.ndarray) -> dict[int, float]:
    return {int(item): float(answers[items == item].mean()) for item in np.unique(items)}


def _taus_without_each(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return tau-b without each country, [C]: NaN where the others have no order."""
    signs = [np.sign(side[:, None] - side[None, :]) for side in (a, b)]
    agreement, *ordered = (table.sum() - 2 * table.sum(1) for table in (signs[0] * signs[1], *map(np.square, signs)))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(agreement / np.sqrt(ordered[0] * ordered[1]))


def _atanh(tau: float) -> float:
    return float(np.arctanh(np.clip(tau, -0.999, 0.999)))
