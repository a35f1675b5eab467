"""Who has what, as sparse 0/1 matrices: cultures, names and features of concepts, and what pairs have in common."""

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.sparse import csr_matrix

_PAIRS_AT_ONCE = 65536


def incidence(sets: Sequence[Iterable[str]]) -> csr_matrix:
    """Return which of all distinct items each row has, 0/1 [rows, items]; the items of a row are distinct."""
    rows = [tuple(items) for items in sets]
    columns = {item: column for column, item in enumerate(sorted({item for row in rows for item in row}))}
    places = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    found = [columns[item] for row in rows for item in row]
    return csr_matrix((np.ones(len(found), np.float32), (places, found)), shape=(len(rows), len(columns)))


def count_common(matrix: csr_matrix, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return how many items both rows of each pair have, float64 [P].

    Args:
        matrix: From :func:`incidence`.
        a: Row numbers, [P].
        b: Row numbers, [P].
    """
    common = np.empty(len(a))
    for start in range(0, len(a), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        common[part] = np.asarray(matrix[a[part]].multiply(matrix[b[part]]).sum(axis=1)).ravel()
    return common
