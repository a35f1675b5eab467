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
        members: Rows of each cell. Cells with near numbers lie near each other.
    """

    def __init__(self, embeddings: np.ndarray, cultures: csr_matrix) -> None:
        count = len(embeddings)
        self.cell_of, self._centres = find_cells(embeddings, _CELLS_PER_ROOT)
        sizes = np.bincount(self.cell_of)
        self.members = np.split(np.argsort(self.cell_of, kind="stable"), np.cumsum(sizes)[:-1])
        placed = csr_matrix((np.ones(count, np.float32), (self.cell_of, np.arange(count))), shape=(len(sizes), count))
        self._common = csr_matrix((placed @ cultures).toarray() == sizes[:, None], dtype=np.float32)
        self._embeddings, self._cultures = embeddings, cultures

    def __len__(self) -> int:
        """Number of cells, none of which is empty."""
        return len(self.members)

    def list_rows(self) -> np.ndarray:
        """Return all rows cell by cell: near rows look into the same cells, so their products are few and large."""
        return np.concatenate(self.members)

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
        """Yield, cell by cell, which of the rows look into it (their places in ``rows``), and the cell's members.

        The cells that are nearest to their lookers come first: most later members are further off than those found.
        """
        closeness = self._closeness(rows)
        first = len(self) - min(probes, len(self))
        chosen = np.argpartition(closeness, first, axis=1)[:, first:]
        place, column = np.nonzero(np.isfinite(np.take_along_axis(closeness, chosen, 1)))
        cells = chosen[place, column]
        lookers = np.bincount(cells, minlength=len(self))
        nearness = np.bincount(cells, closeness[place, cells], len(self)) / np.maximum(lookers, 1)
        turn = np.argsort(np.argsort(-nearness, kind="stable"))
        order = np.argsort(turn[cells], kind="stable")
        cells, place = cells[order], place[order]
        for together in np.split(np.arange(len(cells)), np.flatnonzero(np.diff(cells)) + 1):
            if len(together):
                yield place[together], self.members[cells[together[0]]]

    def _closeness(self, rows: np.ndarray) -> np.ndarray:
        """Return cosines to the centres, [rows, cells]; -inf where all members of the cell share a row's culture."""
        closeness = np.asarray(self._embeddings[rows] @ self._centres.T)
        closeness[(self._cultures[rows] @ self._common.T).nonzero()] = -np.inf
        return closeness


def find_cells(embeddings: np.ndarray, per_root: int) -> tuple[np.ndarray, np.ndarray]:
    """Put rows into cells.

    Args:
        embeddings: L2-normalised, float32 [N, D].
        per_root: Number of cells, as a multiple of sqrt(N); none is empty, so there may be fewer.

    Returns:
        Each row's cell, the one whose centre is nearest, [N], and the centres, L2-normalised, float32 [cells, D]. Cells
        with near numbers lie near each other.
    """
    count = len(embeddings)
    nearest, centres = _cluster(embeddings, min(count, round(per_root * count**0.5)))
    used, cell_of = np.unique(nearest, return_inverse=True)
    order = np.argsort(_cluster(centres[used], round(len(used) ** 0.5))[0], kind="stable")
    return np.argsort(order)[cell_of], centres[used][order]


def _cluster(vectors: np.ndarray, clusters: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the cluster of each vector, [N], and the centres, float32 [clusters, D], by spherical k-means."""
    import faiss  # here, because most searches are small and need no index

    kmeans = faiss.Kmeans(
        vectors.shape[1],
        clusters,
        niter=_ROUNDS,
        seed=_SEED,
        spherical=True,
        min_points_per_centroid=1,
        max_points_per_centroid=_SAMPLED,
    )
    kmeans.train(vectors)
    return kmeans.index.search(vectors, 1)[1][:, 0], np.asarray(kmeans.centroids)
