"""The blocked search equals the naive one over the full matrix."""

import numpy as np
import pytest

from cultureclip.concepts.neighbours import culture_matrix, nearest_of_other_cultures

CODES = ["JP", "KR", "CN", "MX", "PE"]


def naive(embeddings: np.ndarray, cultures: list[list[str]], k: int) -> tuple[np.ndarray, np.ndarray]:
    similarity = embeddings @ embeddings.T
    for i, here in enumerate(cultures):
        for j, there in enumerate(cultures):
            if set(here) & set(there):
                similarity[i, j] = -np.inf
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    values = np.take_along_axis(similarity, order, 1)
    return np.where(np.isneginf(values), -1, order), values


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
@pytest.mark.parametrize("k", [1, 5, 60])
def test_equals_the_naive_search(block: int, k: int) -> None:
    rng = np.random.default_rng(k)
    count = 60
    embeddings = rng.normal(size=(count, 8)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    cultures = [list(rng.choice(CODES, size=rng.integers(1, 4), replace=False)) for _ in range(count)]
    found, cosines = nearest_of_other_cultures(embeddings, culture_matrix(cultures), k, block)
    expected, values = naive(embeddings, cultures, k)
    assert np.allclose(cosines, values, atol=1e-6)
    assert np.array_equal(found, expected)


def test_a_single_culture_has_no_neighbours() -> None:
    found, cosines = nearest_of_other_cultures(np.eye(3, dtype=np.float32), culture_matrix([["JP"]] * 3), 2)
    assert (found == -1).all()
    assert np.isneginf(cosines).all()
