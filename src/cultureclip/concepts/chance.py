"""How alike random pairs of other cultures are: what a cosine of looks means depends on the judge and the category."""

import numpy as np
import pandas as pd

from cultureclip.concepts.incidence import count_common
from cultureclip.concepts.neighbours import culture_matrix, pair_cosines

_DRAWN = 20_000  # pairs per group; those that share a culture are left out
_SEED = 2


def random_cosines(concepts: pd.DataFrame, looks: np.ndarray, groups: np.ndarray) -> dict[str, np.ndarray]:
    """Return for each group the sorted cosines of random pairs without a common culture.

    Args:
        concepts: Rows with ``cultures``, N.
        looks: L2-normalised, float32 [N, D].
        groups: Only rows of one group make pairs, [N].
    """
    cultures = culture_matrix(list(concepts["cultures"]))
    found = {}
    for group in sorted(set(groups)):
        drawn = np.random.default_rng(_SEED).choice(np.flatnonzero(groups == group), (2, _DRAWN))
        a, b = drawn[:, count_common(cultures, *drawn) == 0]
        found[group] = np.sort(pair_cosines(looks, a, b))
    return found


def count_below(similarity: np.ndarray, groups: np.ndarray, chance: dict[str, np.ndarray]) -> np.ndarray:
    """Return for each pair the share of random pairs of its group that are less alike.

    Args:
        similarity: Cosines of looks, [P].
        groups: Group of each pair, [P].
        chance: From :func:`random_cosines`.
    """
    below = np.ones(len(similarity))
    codes, names = pd.factorize(groups)
    for code, group in enumerate(names):
        if len(cosines := chance[group]):
            here = np.flatnonzero(codes == code)
            below[here] = np.searchsorted(cosines, similarity[here]) / len(cosines)
    return below
