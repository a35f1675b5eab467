"""Search for look-alikes of other cultures: exact, or in cells of similar rows where a category is large.

Both compare rows by matrix products in blocks, so that no N x N matrix is in memory, and leave out rows that share a
culture before they choose the nearest.
"""

import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from cultureclip.concepts.cells import Cells
from cultureclip.concepts.incidence import incidence
from cultureclip.concepts.settings import SearchSettings
from cultureclip.errors import SourceDataError

logger = logging.getLogger(__name__)

_WORKERS = min(16, os.cpu_count() or 1)
_SEED = 1  # of the sample
_LENGTH_TOLERANCE = 0.01
_DECIMALS = 6  # coarser than rounding errors, so another machine orders the pairs alike
_PAIRS_AT_ONCE = 65536

_BLOCKS_PER_PROBE = 4  # of rows that look into cells together: the more, the larger the products

Look = tuple[np.ndarray, np.ndarray]
"""Which rows of a part are compared (their places in it), and with what."""


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
    return incidence(cultures)


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
        scan.compare(everything, everything)
        return scan.found
    cells = Cells(embeddings, cultures)
    sample = np.sort(np.random.default_rng(_SEED).permutation(everything)[: search.sample])
    scan.compare(sample, everything)
    probes = cells.count_probes(sample, scan.found.places[sample], search.recall)
    message = "Search among %d concepts: the nearest %d of %d cells hold %.1f %% of the neighbours of a sample of %d"
    logger.info(message, len(embeddings), probes, len(cells), 100 * search.recall, len(sample))
    scan.run(cells.list_rows(), lambda rows: cells.probe(rows, probes), blocks=_BLOCKS_PER_PROBE)
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


def pair_cosines(vectors: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the cosine of each pair of rows, rounded.

    Each is computed by itself: a search's products round differently with other blocks.

    Args:
        vectors: L2-normalised, float32 [N, D].
        a: Row numbers, [P].
        b: Row numbers, [P].

    Returns:
        float64 [P].
    """
    cosines = np.empty(len(a))
    for start in range(0, len(a), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        cosines[part] = (vectors[a[part]] * vectors[b[part]]).sum(axis=1)
    return cosines.clip(-1, 1).round(_DECIMALS)  # near-equal float32 vectors may exceed 1 by a rounding error


class _Scan:
    """A search for the neighbours of some rows at a time, each such part by itself in one thread."""

    def __init__(self, embeddings: np.ndarray, cultures: csr_matrix, k: int, block: int) -> None:
        self._embeddings, self._cultures, self._block = embeddings, cultures, block
        shape = (len(embeddings), k)
        self.found = Neighbours(np.full(shape, -1, np.int64), np.full(shape, -np.inf, np.float32))

    def compare(self, rows: np.ndarray, columns: np.ndarray) -> None:
        """Compare rows with all of the columns."""
        self.run(rows, lambda part: [(np.arange(len(part)), columns)], blocks=1)

    def run(self, rows: np.ndarray, look: Callable[[np.ndarray], Iterable[Look]], blocks: int) -> None:
        """Search for the rows, some blocks of them at a time; ``look`` says what such a part is compared with."""

        def search(part: np.ndarray) -> None:
            best = _Best(len(part), self.found.places.shape[1])
            for place, columns in look(part):
                for here, block in product(self._cut(place), self._cut(columns)):
                    best.add(here, block, self._cosines(part[here], block))
            self.found.places[part], self.found.cosines[part] = best.sorted()

        # With one thread per product, a part's result is the same however many run at once.
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(_WORKERS, initializer=_use_one_thread) as pool:
            for _ in pool.map(search, self._cut(rows, blocks)):
                pass

    def complete(self) -> None:
        """Search again, exactly, for rows with fewer than k neighbours although there are more."""
        places, ends = self.found.places, self._cultures.indptr
        by_cultures: dict[bytes, list[int]] = defaultdict(list)
        for row in np.flatnonzero((places < 0).any(axis=1)).tolist():
            by_cultures[self._cultures.indices[ends[row] : ends[row + 1]].tobytes()].append(row)
        for group in by_cultures.values():
            rows = np.array(group)
            foreign = np.flatnonzero((self._cultures @ self._cultures[rows[0]].T).toarray() == 0)
            few = (places[rows] >= 0).sum(axis=1) < min(places.shape[1], len(foreign))
            self.compare(rows[few], foreign)

    def _cut(self, rows: np.ndarray, blocks: int = 1) -> list[np.ndarray]:
        step = blocks * self._block
        return [rows[start : start + step] for start in range(0, len(rows), step)]

    def _cosines(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        cosines: np.ndarray = self._embeddings[rows] @ self._embeddings[columns].T
        shared = self._cultures[rows] @ self._cultures[columns].T  # a row shares its own culture, too
        cosines[np.repeat(np.arange(len(rows)), np.diff(shared.indptr)), shared.indices] = -np.inf
        return cosines


def _use_one_thread() -> None:
    """Let this thread's calls of faiss stay in it: OpenMP counts threads for each caller."""
    import faiss

    faiss.omp_set_num_threads(1)


class _Best:
    """The k best columns so far of some rows, in heaps: one comparison passes over most columns of a later block."""

    def __init__(self, rows: int, k: int) -> None:
        import faiss  # here, because importing it takes longer than a small project's commands

        self._heaps = faiss.ResultHeap(rows, k, keep_max=True)

    def add(self, here: np.ndarray, columns: np.ndarray, cosines: np.ndarray) -> None:
        """Take in the cosines of the rows ``here`` to ``columns``, [len(here), len(columns)]; -inf is not taken in."""
        self._heaps.add_result_subset(here, cosines, columns)

    def sorted(self) -> Neighbours:
        """Return them, the nearest first."""
        places, cosines = self._heaps.I, np.where(self._heaps.I < 0, -np.inf, self._heaps.D)
        order = np.lexsort((places, -cosines), axis=1)
        return Neighbours(*(np.take_along_axis(part, order, 1) for part in (places, cosines)))
