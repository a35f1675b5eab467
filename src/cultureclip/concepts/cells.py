"""Cells of similar vectors, the inverted lists of an IVF index: a search looks into the nearest cells only.

faiss finds the cells by k-means. Cells are searched whole, by matrix products (:mod:`cultureclip.concepts.neighbours`),
and not by faiss's own search: its selectors hold for all queries alike, and here every row has cultures of its own.
"""

import numpy as np
from scipy.sparse import csr_matrix

_CELLS_PER_ROOT = 2  # cells = this * sqrt(rows): the search costs rows * probes * sqrt(rows) / this
_SAMPLED = 40  # rows per cell that k-means sees
_ROUNDS = 8  # of k-means
_SEED = 0


class Cells:
    """Rows in cells of similar ones, and for each cell the order in which others are searched for its rows.

    The same rows give the same cells, for any number of threads.

    Args:
        embeddings: L2-normalised, float32 [N, D].
        cultures: Which cultures each row has, 0/1 [N, C].

    Attributes:
        cell_of: Each row's cell, [N].
        nearest: For each cell all cells, the nearest first; those without a look-alike of another culture are last.
    """

    def __init__(self, embeddings: np.ndarray, cultures: csr_matrix) -> None:
        import faiss  # here, because most searches are small and need no index

        count, width = embeddings.shape
        cells = max(1, round(_CELLS_PER_ROOT * count**0.5))
        kmeans = faiss.Kmeans(
            width,
            min(cells, count),
            niter=_ROUNDS,
            seed=_SEED,
            spherical=True,
            min_points_per_centroid=1,
            max_points_per_centroid=_SAMPLED,
        )
        kmeans.train(embeddings)
        centres = np.asarray(kmeans.centroids)
        self.cell_of = kmeans.index.search(embeddings, 1)[1][:, 0]
        self._sizes = np.bincount(self.cell_of, minlength=len(centres))
        self._members = np.split(np.argsort(self.cell_of, kind="stable"), np.cumsum(self._sizes)[:-1])
        closeness = centres @ centres.T
        useless = self._find_useless(cultures)
        closeness[useless] = -np.inf
        self.nearest = np.argsort(-closeness, axis=1, kind="stable").astype(np.int32)
        self._useful = len(closeness) - useless.sum(axis=1)

    def __len__(self) -> int:
        """Number of cells."""
        return len(self._sizes)

    def count_probes(self, rows: np.ndarray, neighbours: np.ndarray, recall: float) -> int:
        """Return how many cells a search must look into.

        Args:
            rows: Sample of the rows, [S].
            neighbours: Their true neighbours, [S, k]; -1 where there are fewer.
            recall: Share of them that the search must find.
        """
        rank = np.argsort(self.nearest[self.cell_of[rows]], axis=1)
        ranks = np.sort(np.take_along_axis(rank, self.cell_of[neighbours], axis=1)[neighbours >= 0])
        return int(ranks[int(np.ceil(recall * len(ranks))) - 1]) + 1 if len(ranks) else 1

    def part(self, cell: int, probes: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of a cell, and the rows among which their neighbours are sought."""
        searched = self.nearest[cell, : min(probes, self._useful[cell])]
        columns = [self._members[other] for other in searched] or [np.zeros(0, np.int64)]
        return self._members[cell], np.sort(np.concatenate(columns))

    def _find_useless(self, cultures: csr_matrix) -> np.ndarray:
        """Return for each pair of cells whether no row of one is foreign to a row of the other, bool [cells, cells]."""
        rows = np.arange(len(self.cell_of))
        placed = csr_matrix((np.ones(len(rows), np.float32), (self.cell_of, rows)), shape=(len(self), len(rows)))
        common = ((placed @ cultures).toarray() == self._sizes[:, None]).astype(np.float32)  # a culture of all its rows
        return np.asarray(common @ common.T > 0)  # an empty cell has every culture
