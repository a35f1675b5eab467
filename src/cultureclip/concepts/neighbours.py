"""Search for look-alikes of other cultures: exact, or in cells of similar rows where a category is large.

Both compare rows by matrix products in blocks, so that no N x N matrix is in memory, and leave out rows that share a
culture before they choose the nearest.
"""

import logging
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from cultureclip.concepts.cells import Cells
from cultureclip.concepts.settings import SearchSettings
from cultureclip.errors import SourceDataError

logger = logging.getLogger(__name__)

_WORKERS = min(16, os.cpu_count() or 1)
_SEED = 1  # of the sample
_LENGTH_TOLERANCE = 0.01

Part = tuple[np.ndarray, np.ndarray]
"""Rows, and the rows among which their neighbours are sought."""


class Neighbours(NamedTuple):
    """Neighbours of rows, nearest first; index -1 and -inf fill up fewer than k.

    Attributes:
        places: Row numbers, int64 [N, k].
        cosines: float32 [N, k].
    """

    places: np.ndarray
    cosines: np.ndarray


def culture_matrix(cultures: Sequence[Sequence[str]]) -> csr_matrix:
    """Return the cultures of each concept: 0/1 matrix [concepts, distinct cultures]."""
    codes = {code: column for column, code in enumerate(sorted({code for row in cultures for code in row}))}
    rows = np.repeat(np.arange(len(cultures)), [len(row) for row in cultures])
    columns = [codes[code] for row in cultures for code in row]
    shape = (len(cultures), len(codes))
    return csr_matrix((np.ones(len(columns), np.float32), (rows, columns)), shape=shape)


def nearest_of_other_cultures(
    embeddings: np.ndarray, cultures: csr_matrix, k: int, search: SearchSettings | None = None, block: int = 2048
) -> Neighbours:
    """Return the k most similar rows that share no culture, for every row.

    Memory is O(N k + block^2) per thread. An exact search takes O(N^2 D), one in cells about O(N^1.5 D). The outcome
    does not depend on the number of threads.

    Args:
        embeddings: L2-normalised, float32 [N, D].
        cultures: Matrix from :func:`culture_matrix`, [N, C].
        k: Neighbours per row.
        search: When to search in cells, and how many neighbours to find there; None for an exact search. A row gets k
            neighbours from either search, or as many as exist.
        block: Edge of the blocks that are compared at a time.

    Raises:
        SourceDataError: if a row is not finite or not of length 1, or the two tables do not have the same rows.
    """
    check_vectors(embeddings, [f"row {row}" for row in range(cultures.shape[0])], "embeddings")
    scan = _Scan(embeddings, cultures, k, block)
    everything = np.arange(len(embeddings))
    if search is None or len(embeddings) <= search.exact_up_to:
        rows = np.split(everything, range(block, len(embeddings), block))
        scan.run(len(rows), lambda part: (rows[part], everything))
        return scan.found
    cells = Cells(embeddings, cultures)
    sample = np.sort(np.random.default_rng(_SEED).permutation(everything)[: search.sample])
    asked = np.array_split(sample, min(_WORKERS, len(sample)))
    scan.run(len(asked), lambda part: (asked[part], everything))
    probes = cells.count_probes(sample, scan.found.places[sample], search.recall)
    message = "Search among %d concepts: the nearest %d of %d cells hold %.1f %% of the neighbours of a sample of %d"
    logger.info(message, len(embeddings), probes, len(cells), 100 * search.recall, len(sample))
    scan.run(len(cells), lambda cell: cells.part(cell, probes))
    scan.complete()
    return scan.found


def check_vectors(vectors: np.ndarray, names: Sequence[str], what: str) -> None:
    """Check that there is one vector of length 1 for each name.

    Raises:
        SourceDataError: naming the first that is not.
    """
    if vectors.ndim != 2 or len(vectors) != len(names):
        cause = f"their shape is {vectors.shape}, and there are {len(names)} concepts"
        raise SourceDataError(what, cause, "Make them of the same table, one row for each")
    squares = np.einsum("nd,nd->n", vectors, vectors)
    bad = np.flatnonzero(~(np.abs(squares - 1) < _LENGTH_TOLERANCE))  # NaN is not smaller
    if len(bad):
        cause = f"{len(bad)} vectors are not finite or not of length 1, the first with square {squares[bad[0]]:g}"
        raise SourceDataError(f"{what}, {names[bad[0]]}", cause, "Embed them again with a model that works")


class _Scan:
    """A search through parts of the rows, each by itself in one thread."""

    def __init__(self, embeddings: np.ndarray, cultures: csr_matrix, k: int, block: int) -> None:
        self._embeddings, self._cultures, self._block = embeddings, cultures, block
        shape = (len(embeddings), k)
        self.found = Neighbours(np.full(shape, -1, np.int64), np.full(shape, -np.inf, np.float32))

    def run(self, parts: int, part: Callable[[int], Part]) -> None:
        """Search all parts; ``part(i)`` is called when its turn comes, so that few are in memory."""

        def search(number: int) -> None:
            rows, columns = part(number)
            for top in range(0, len(rows), self._block):
                here = rows[top : top + self._block]
                self.found.places[here], self.found.cosines[here] = self._search(here, columns)

        # With one thread per product, a part's result is the same however many run at once.
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(_WORKERS) as pool:
            for _ in pool.map(search, range(parts)):
                pass

    def complete(self) -> None:
        """Search again, exactly, for rows with fewer than k neighbours although there are more."""
        places, ends = self.found.places, self._cultures.indptr
        by_cultures: dict[bytes, list[int]] = defaultdict(list)
        for row in np.flatnonzero((places < 0).any(axis=1)).tolist():
            by_cultures[self._cultures.indices[ends[row] : ends[row + 1]].tobytes()].append(row)
        groups = list(by_cultures.values())

        def part(number: int) -> Part:
            rows = np.array(groups[number])
            foreign = np.flatnonzero((self._cultures @ self._cultures[rows[0]].T).toarray() == 0)
            few = (places[rows] >= 0).sum(axis=1) < min(places.shape[1], len(foreign))
            return rows[few], foreign

        self.run(len(groups), part)

    def _search(self, rows: np.ndarray, columns: np.ndarray) -> Neighbours:
        """Return the k nearest foreign ones of ``columns`` for each of ``rows``."""
        k = self.found.places.shape[1]
        vectors, cultures = self._embeddings[rows], self._cultures[rows]
        best = np.full((len(rows), k), -np.inf, np.float32)
        place = np.full((len(rows), k), -1, np.int64)
        for left in range(0, len(columns), self._block):
            block = columns[left : left + self._block]
            similarity = vectors @ self._embeddings[block].T
            similarity[(cultures @ self._cultures[block].T).nonzero()] = -np.inf  # a row shares its own culture, too
            kept = _largest(similarity, k)
            new = np.take_along_axis(similarity, kept, 1)
            best = np.concatenate([best, new], axis=1)
            place = np.concatenate([place, np.where(np.isneginf(new), -1, block[kept])], axis=1)
            kept = _largest(best, k)
            best, place = np.take_along_axis(best, kept, 1), np.take_along_axis(place, kept, 1)
        order = np.lexsort((place, -best), axis=1)
        return Neighbours(np.take_along_axis(place, order, 1), np.take_along_axis(best, order, 1))


def _largest(values: np.ndarray, k: int) -> np.ndarray:
    """Return the columns of each row's k largest values, or of all values if there are fewer."""
    from_here = max(0, values.shape[1] - k)
    return np.argpartition(values, from_here, axis=1)[:, from_here:]
