"""Exact search for look-alikes of other cultures, in blocks, without an N x N matrix in memory."""

import numpy as np
from scipy.sparse import csr_matrix


def culture_matrix(cultures: list[list[str]]) -> csr_matrix:
    """Return the cultures of each concept: 0/1 matrix [concepts, distinct cultures]."""
    codes = {code: column for column, code in enumerate(sorted({code for row in cultures for code in row}))}
    rows = np.repeat(np.arange(len(cultures)), [len(row) for row in cultures])
    columns = [codes[code] for row in cultures for code in row]
    shape = (len(cultures), len(codes))
    return csr_matrix((np.ones(len(columns), np.float32), (rows, columns)), shape=shape)


def nearest_of_other_cultures(
    embeddings: np.ndarray, cultures: csr_matrix, k: int, block: int = 2048
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k most similar rows that share no culture, for every row.

    Memory is O(N k + block^2); time is that of the full product, O(N^2 D).

    Args:
        embeddings: L2-normalised, float32 [N, D].
        cultures: Matrix from :func:`culture_matrix`, [N, C].
        k: Neighbours a row.
        block: Edge of the blocks that are compared at a time.

    Returns:
        Indices int64 [N, k] and cosines float32 [N, k], nearest first; index -1 and -inf fill up fewer than k.
    """
    count = len(embeddings)
    found = np.full((count, k), -1, np.int64)
    cosines = np.full((count, k), -np.inf, np.float32)
    for top in range(0, count, block):
        rows = slice(top, min(top + block, count))
        best, place = cosines[rows], found[rows]
        for left in range(0, count, block):
            columns = slice(left, min(left + block, count))
            similarity = embeddings[rows] @ embeddings[columns].T
            similarity[(cultures[rows] @ cultures[columns].T).nonzero()] = -np.inf  # a row shares its own culture, too
            best = np.concatenate([best, similarity], axis=1)
            new = np.broadcast_to(np.arange(columns.start, columns.stop), similarity.shape)
            place = np.concatenate([place, np.where(np.isneginf(similarity), -1, new)], axis=1)
            kept = np.argpartition(-best, k - 1, axis=1)[:, :k]
            best, place = np.take_along_axis(best, kept, 1), np.take_along_axis(place, kept, 1)
        order = np.argsort(-best, axis=1, kind="stable")
        cosines[rows], found[rows] = np.take_along_axis(best, order, 1), np.take_along_axis(place, order, 1)
    return found, cosines
