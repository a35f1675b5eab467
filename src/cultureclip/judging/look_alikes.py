"""Look-alikes among very many images, exactly: pairs that cannot be near enough are not compared.

Rows lie in cells of similar ones (:mod:`cultureclip.concepts.cells`). Angles between vectors obey the triangle
inequality. So with rho the largest angle of look-alikes, a row has none in a cell whose centre is further from it than
its own centre by more than 2 rho, and elsewhere only among members whose angle to the centre is its own, give or take
rho.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from threadpoolctl import threadpool_limits

from cultureclip.concepts.cells import find_cells
from cultureclip.concepts.neighbours import check_vectors, pair_cosines

_WORKERS = min(16, os.cpu_count() or 1)
_CELLS_PER_ROOT = 2
_ROWS = 16384
_BIN = 0.03
"""Radians within which rows are compared together."""
_BINS = 1 + int(np.pi / _BIN)
_SLACK = 2e-3
"""Radians by which float32 may have a small angle wrong."""
_ROUNDING = 1e-5

Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Rows of pairs, [P] each, and their cosines, [P]."""


def find_look_alikes(embeddings: np.ndarray, groups: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Find each row's nearest row of another group, if their cosine is above a bound.

    The time is that of comparing each row with 2 sqrt(N) centres and with the members of the cells around it. A bound
    near 1 leaves few of these.

    Args:
        embeddings: L2-normalised, float32 [N, D].
        groups: Number of each row's group, int [N].
        least: The bound.

    Returns:
        Row numbers, int64 [N], -1 where no row is near enough, and cosines, float64 [N], NaN there. Of rows that are
        equally near the first is taken.

    Raises:
        SourceDataError: if a row is not finite or not of length 1.
    """
    check_vectors(embeddings, [f"row {row}" for row in range(len(groups))], "embeddings")
    search = _Search(embeddings, groups, least)
    places, cosines = np.full(len(embeddings), -1, np.int64), np.full(len(embeddings), np.nan)
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(_WORKERS) as pool:
        for a, b, found in pool.map(search.compare, search.blocks):
            rows, others, near = np.r_[a, b], np.r_[b, a], np.r_[found, found]
            known = rows[places[rows] >= 0]
            rows, others, near = np.r_[rows, known], np.r_[others, places[known]], np.r_[near, cosines[known]]
            order = np.lexsort((others, -near, rows))
            rows, first = np.unique(rows[order], return_index=True)
            places[rows], cosines[rows] = others[order][first], near[order][first]
    return places, cosines


class _Search:
    """The rows in their cells, each cell's members by their angle to its centre."""

    def __init__(self, embeddings: np.ndarray, groups: np.ndarray, least: float) -> None:
        self._embeddings, self._groups, self._least = embeddings, groups, least
        self._rho = float(np.arccos(np.clip(least, -1, 1))) + _SLACK
        self._cell_of, self._centres = find_cells(embeddings, _CELLS_PER_ROOT)
        self._angles = np.empty(len(embeddings), np.float32)
        for start in range(0, len(embeddings), _ROWS):
            part = slice(start, start + _ROWS)
            own = np.einsum("nd,nd->n", embeddings[part], self._centres[self._cell_of[part]])
            self._angles[part] = np.arccos(own.clip(-1, 1))
        self._order = np.lexsort((self._angles, self._cell_of))
        self._sorted = self._angles[self._order]
        self._starts = np.searchsorted(self._cell_of[self._order], np.arange(len(self._centres) + 1))
        self.blocks = [self._order[start : start + _ROWS] for start in range(0, len(embeddings), _ROWS)]

    def compare(self, rows: np.ndarray) -> Pairs:
        """Return the pairs of these rows with look-alikes in their own cells and in later ones."""
        found = [self._near(rows[place], members) for place, members in self._looks(rows)]
        a, b = (np.concatenate([pair[side] for pair in found] or [np.zeros(0, np.int64)]) for side in (0, 1))
        cosines = pair_cosines(self._embeddings, a, b)
        near = cosines > self._least
        return a[near], b[near], cosines[near]

    def _looks(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield, cell by cell, the places of the rows that look into it, and the members that they may be near to."""
        closeness = self._embeddings[rows] @ self._centres.T
        reach = np.cos(np.minimum(self._angles[rows] + 2 * self._rho, np.pi)) - _ROUNDING
        later = np.arange(len(self._centres)) >= self._cell_of[rows][:, None]
        place, cells = np.nonzero((closeness >= reach[:, None]) & later)
        angles = np.arccos(closeness[place, cells].clip(-1, 1))
        bins = (angles / _BIN).astype(np.int64)
        together = cells * _BINS + bins
        order = np.argsort(together, kind="stable")
        place, together = place[order], together[order]
        for start, end in _runs(together):
            cell, number = divmod(int(together[start]), _BINS)
            first, last = self._starts[cell], self._starts[cell + 1]
            bounds = number * _BIN - self._rho, (number + 1) * _BIN + self._rho
            near = slice(*(first + np.searchsorted(self._sorted[first:last], bounds)))
            if near.stop > near.start:
                yield place[start:end], self._order[near]

    def _near(self, rows: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the pairs of other groups that may be near enough, of which none is near enough by rounding alone."""
        here, there = np.nonzero(self._embeddings[rows] @ self._embeddings[members].T > self._least - _ROUNDING)
        a, b = rows[here], members[there]
        other = self._groups[a] != self._groups[b]
        return a[other], b[other]


def _runs(values: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield start and end of each run of equal values."""
    cuts = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    yield from ((start, end) for start, end in pairwise(cuts) if end > start)
