"""Tests beside intervals: McNemar over items, Holm over benchmarks, margins below noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from statsmodels.stats.contingency_tables import mcnemar

NOISE = 0.002
"""Cosines closer than this could change places in bf16: of the pocket base's margins 95 % move by less."""


@dataclass(frozen=True)
class McNemar:
    """McNemar's exact test.

    Attributes:
        p_value: Two-sided; 1 if no item tells the models apart.
        n: Items that entered it.
        excluded: Items left out: a model had partial credit (a tie), or its seeds no majority.
    """

    p_value: float
    n: int
    excluded: int


def mcnemar_test(credits: np.ndarray, reference: np.ndarray) -> McNemar:
    """Compare two models on items that each gets right or wrong (McNemar 1947, Psychometrika 12:153).

    The test takes items as independent; items about one concept are not, so its p-value is too small if concepts
    have several items. Readers know McNemar's test, so it is given. Trust the sign-flip test.

    Args:
        credits: [items, seeds]; what counts is the median over seeds, the majority where the number of seeds is odd.
        reference: The other model's, [items, seeds].
    """
    one, other = np.median(credits, axis=1), np.median(reference, axis=1)
    clear = np.isin(one, (0, 1)) & np.isin(other, (0, 1))
    one, other = one[clear] == 1, other[clear] == 1
    table = [[(one & other).sum(), (one & ~other).sum()], [(~one & other).sum(), (~one & ~other).sum()]]
    return McNemar(float(mcnemar(table, exact=True).pvalue), int(clear.sum()), int((~clear).sum()))


def correct_holm(p_values: np.ndarray) -> np.ndarray:
    """Return p-values corrected for their number (Holm 1979, Scandinavian Journal of Statistics 6:65); NaN stay NaN.

    statsmodels' ``multipletests`` gives the same, but collects garbage in every call: seconds in a full process.
    """
    order = np.argsort(p_values)[: np.count_nonzero(~np.isnan(p_values))]  # NaN sort last
    stepped = p_values[order] * np.arange(len(order), 0, -1)
    corrected = np.full(len(p_values), np.nan)
    corrected[order] = np.minimum(np.maximum.accumulate(stepped), 1)
    return corrected


def undecided_share(scores: Sequence[Sequence[float]], noise: float) -> float:
    """Return the share of items whose best and second option differ by less than noise.

    Args:
        scores: Cosines of each item's options.
        noise: Cosines closer than this could change places in another precision or batch.

    Returns:
        In [0, 1], over items with at least two options; NaN if there are none.
    """
    best = [np.partition(np.asarray(item, float), -2)[-2:] for item in scores if len(item) > 1]
    return float(np.mean([abs(second - first) < noise for first, second in best])) if best else float("nan")
