"""Cells of similar vectors, the inverted lists of an IVF index: a search looks into the cells nearest to each row only.

faiss finds the cells by k-means. They are searched by matrix products (:mod:`cultureclip.concepts.neighbours`) and not
by faiss's own search, whose selectors hold for all queries alike: here every row has cultures of its own.
"""

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_matrix

_CELLS_PER_ROOT = 2  # cells = this * sqrt(rows)
_SAMPLED = 32  # rows per cell that k-means sees
_ROUNDS = 6  # of k-means
_SEED = 0


class Cells:
    """Rows in cells of similar ones. The same rows give the same cells, for any number of threads.

    Args:
        embeddings: L2-normalised, float32 [N, D].
        cultures: Which cultures each row has, 0/1 [N, C].

    Attributes:
        cell_of: Each row's cell, [N].
        members: Rows of each cell.
    """

    def __init__(self, embeddings: np.ndarray, cultures: csr_matrix) -> None:
        import faiss  # here, because most searches are small and need no index

        count, width = embeddings.shape
        kmeans = faiss.Kmeans(
            width,
            min(count, round(_CELLS_PER_ROOT * count**0.5)),
            niter=_ROUNDS,
            seed=_SEED,
            spherical=True,
            min_points_per_centroid=1,
            max_points_per_centroid=_SAMPLED,
        )
        kmeans.train(embeddings)
        nearest = kmeans.index.search(embeddings, 1)[1][:, 0]
        used, self.cell_of, sizes = np.unique(nearest, return_inverse=True, return_counts=True)
        self.members = np.split(np.argsort(self.cell_of, kind="stable"), np.cumsum(sizes)[:-1])
        self._centres = np.asarray(kmeans.centroids)[used]
        placed = csr_matrix((np.ones(count, np.float32), (self.cell_of, np.arange(count))), shape=(len(used), count))
        self._common = csr_matrix((placed @ cultures).toarray() == sizes[:, None], dtype=np.float32)
        self._embeddings, self._cultures = embeddings, cultures

    def __len__(self) -> int:
        """Number of cells, none of which is empty."""
        return len(self.members)

    def count_probes(self, rows: np.ndarray, neighbours: np.ndarray, recall: float) -> int:
        """Return how many cells a search must look into for each row.

        Args:
            rows: Sample of the rows, [S].
            neighbours: Their true neighbours, [S, k]; -1 where there are fewer.
            recall: Share of them that the search must find.
        """
        rank = np.argsort(np.argsort(-self._closeness(rows), axis=1), axis=1)
        ranks = np.sort(np.take_along_axis(rank, self.cell_of[neighbours], axis=1)[neighbours >= 0])
        return int(ranks[int(np.ceil(recall * len(ranks))) - 1]) + 1 if len(ranks) else 1

    def probe(self, rows: np.ndarray, probes: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield, cell by cell, which of the rows look into it (their places in ``rows``), and the cell's members."""
        closeness = self._closeness(rows)
        first = len(self) - min(probes, len(self))
        chosen = np.argpartition(closeness, first, axis=1)[:, first:]
        place, column = np.nonzero(np.isfinite(np.take_along_axis(closeness, chosen, 1)))
        cells = chosen[place, column]
        order = np.argsort(cells, kind="stable")
        cells, place = cells[order], place[order]
        for lookers in np.split(np.arange(len(cells)), np.flatnonzero(np.diff(cells)) + 1):
            if len(lookers):
                yield place[lookers], self.members[cells[lookers[0]]]

    def _closeness(self, rows: np.ndarray) -> np.ndarray:
        """Return cosines to the centres, [rows, cells]; -inf where all members of the cell share a row's culture."""
        closeness = np.asarray(self._embeddings[rows] @ self._centres.T)
        closeness[(self._cultures[rows] @ self._common.T).nonzero()] = -np.inf
        return closeness
