"""What a twin is worth beyond its score: how well its concepts represent their cultures, and how far apart they are.

Both aims are CAReDiO's (arXiv 2504.08820), whose formulas were not at hand. These are stand-ins, on the sentence
encoder's embeddings of the contexts:

    F_c(S) = mean over concepts i of culture c of max over chosen j in S of max(0, cos(i, j))
    m_c(x) = sum over concepts j of c, j != x, of cos(x, j) / (their number + 1)

A concept's *representativeness* is what it adds to F of its cultures (facility location): the first of a culture's many
noodle dishes adds much, the next one little. Its *distinctiveness* is m of its own culture less the largest m of any
other one. The one that is added to the number lets a culture with a single look-alike weigh half of what it would.
"""

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from cultureclip.concepts.settings import TwinSettings

_ROWS_AT_ONCE = 4096
_COLUMNS_AT_ONCE = 1024
_KEPT_BYTES = 1 << 30
_DECIMALS = 6  # coarser than rounding errors, so another machine orders twins alike


def measure_distinctiveness(contexts: np.ndarray, cultures: csr_matrix) -> np.ndarray:
    """Return each concept's margin to other cultures, [N].

    Args:
        contexts: L2-normalised, float32 [N, E].
        cultures: Which cultures each concept has, 0/1 [N, C].
    """
    sums, counts = cultures.T @ contexts, np.asarray(cultures.sum(axis=0)).ravel()
    margins = np.empty(len(contexts))
    for start in range(0, len(contexts), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        own = cultures[part].toarray() > 0
        means = (contexts[part] @ sums.T - own) / (counts + 1 - own)
        others = np.where(own, -np.inf, means).max(axis=1)
        margins[part] = np.where(own, means, -np.inf).max(axis=1) - np.where(np.isfinite(others), others, 0)
    return margins.round(_DECIMALS)


def measure_coverage(contexts: np.ndarray, cultures: csr_matrix, chosen: np.ndarray) -> np.ndarray:
    """Return F of each culture, [C].

    Args:
        contexts: L2-normalised, float32 [N, E].
        cultures: Which cultures each concept has, 0/1 [N, C].
        chosen: Which concepts are chosen, bool [N].
    """
    coverage = []
    for rows in _list_members(cultures):
        nearest = np.zeros(len(rows), np.float32)
        own = contexts[rows]
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = rows[start : start + _ROWS_AT_ONCE]
            np.maximum(nearest, (own @ contexts[part[chosen[part]]].T).max(axis=1, initial=0), out=nearest)
        coverage.append(nearest.mean())
    return np.array(coverage, float).round(_DECIMALS)


def _list_members(cultures: csr_matrix) -> list[np.ndarray]:
    """Return the concepts of each culture."""
    at_home = cultures.tocsc()
    return np.split(at_home.indices, at_home.indptr[1:-1])


class Representation:
    """How well the chosen concepts represent each culture: facility location, F of the module's docstring.

    Args:
        contexts: L2-normalised, float32 [N, E].
        cultures: Which cultures each concept has, 0/1 [N, C].
    """

    def __init__(self, contexts: np.ndarray, cultures: csr_matrix) -> None:
        self._contexts, self._cultures = contexts, cultures
        self._members = [contexts[rows] for rows in _list_members(cultures)]
        self._nearest = [np.zeros(len(members), np.float32) for members in self._members]
        self._chosen = [0] * len(self._members)
        self._gains: dict[int, tuple[list[int], float]] = {}
        # A choice asks for the gain of the same concepts again and again, and only what is chosen has changed.
        self._kept: dict[tuple[int, int], np.ndarray] = {}
        self._room = _KEPT_BYTES

    def gain(self, row: int) -> float:
        """Return what choosing a concept would add, the mean over its cultures; it never grows as others are chosen."""
        own = self._cultures_of(row)
        chosen = [self._chosen[culture] for culture in own]
        known = self._gains.get(row)
        if known is None or known[0] != chosen:
            added = [np.maximum(self._cosines(culture, row) - self._nearest[culture], 0).mean() for culture in own]
            known = self._gains[row] = chosen, float(np.mean(added).round(_DECIMALS))
        return known[1]

    def gains(self, rows: np.ndarray) -> np.ndarray:
        """Return :meth:`gain` of many concepts, [R], culture by culture: one product for all concepts of a block."""
        asked = np.zeros(self._cultures.shape[0], bool)
        asked[rows] = True
        sums, counts = np.zeros(len(asked)), np.diff(self._cultures.indptr)
        for culture, own in enumerate(_list_members(self._cultures)):
            wanted = own[asked[own]]
            members, nearest = self._members[culture], self._nearest[culture][:, None]
            for start in range(0, len(wanted), _COLUMNS_AT_ONCE):
                part = wanted[start : start + _COLUMNS_AT_ONCE]
                for top in range(0, len(members), _ROWS_AT_ONCE):
                    below = slice(top, top + _ROWS_AT_ONCE)
                    added = members[below] @ self._contexts[part].T - nearest[below]
                    sums[part] += np.maximum(added, 0, out=added).sum(axis=0, dtype=np.float64) / len(members)
        found: np.ndarray = (sums[rows] / counts[rows]).round(_DECIMALS)
        for row, gain in zip(rows.tolist(), found.tolist(), strict=True):
            self._gains[row] = [self._chosen[culture] for culture in self._cultures_of(row)], gain
        return found

    def take(self, row: int) -> None:
        """Choose a concept."""
        for culture in self._cultures_of(row):
            np.maximum(self._nearest[culture], self._cosines(culture, row), out=self._nearest[culture])
            self._chosen[culture] += 1

    def _cultures_of(self, row: int) -> list[int]:
        start, end = self._cultures.indptr[row : row + 2]
        cultures: list[int] = self._cultures.indices[start:end].tolist()
        return cultures

    def _cosines(self, culture: int, row: int) -> np.ndarray:
        known = self._kept.get((culture, row))
        if known is None:
            known = self._members[culture] @ self._contexts[row]
            if known.nbytes <= self._room:
                self._kept[culture, row], self._room = known, self._room - known.nbytes
        return known


class Worth:
    """What each pair is worth as the next twin: its score, with representativeness and distinctiveness as weighted.

    Args:
        pairs: Columns a, b (row numbers of concepts) and score.
        contexts: L2-normalised, float32 [N, E].
        cultures: Which cultures each concept has, 0/1 [N, C].
        settings: The two weights.
    """

    def __init__(self, pairs: pd.DataFrame, contexts: np.ndarray, cultures: csr_matrix, settings: TwinSettings) -> None:
        self._a, self._b = pairs["a"].to_numpy(), pairs["b"].to_numpy()
        self._fixed = pairs["score"].to_numpy()
        if settings.distinctiveness_weight:
            margin = measure_distinctiveness(contexts, cultures)
            self._fixed = self._fixed + settings.distinctiveness_weight * (margin[self._a] + margin[self._b]) / 2
        self._weight = settings.representativeness_weight
        self._represented = Representation(contexts, cultures) if self._weight else None

    def of_all(self) -> np.ndarray:
        """Return what every pair is worth before there is any twin, [P]."""
        worth: np.ndarray = self._fixed
        if self._represented is not None:
            rows = np.union1d(self._a, self._b)
            gains = self._represented.gains(rows)
            both = gains[np.searchsorted(rows, self._a)] + gains[np.searchsorted(rows, self._b)]
            worth = worth + self._weight * both / 2
        return worth

    def of(self, place: int) -> float:
        """Return what a pair is worth now; it never grows."""
        worth = float(self._fixed[place])
        if self._represented is not None:
            gains = [self._represented.gain(row) for row in self._rows(place)]
            worth += self._weight * sum(gains) / len(gains)
        return worth

    def take(self, place: int) -> None:
        """Make a pair a twin."""
        if self._represented is not None:
            for row in self._rows(place):
                self._represented.take(row)

    def _rows(self, place: int) -> tuple[int, int]:
        return int(self._a[place]), int(self._b[place])
