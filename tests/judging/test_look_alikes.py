"""The search for look-alikes in cells against the naive one over the full matrix."""

import numpy as np
import pytest

from cultureclip.errors import SourceDataError
from cultureclip.judging import look_alikes
from cultureclip.judging.look_alikes import find_look_alikes


def make_rows(count: int, seed: int, width: int, clusters: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows around centres that share a direction, as embeddings do; some are copies of others, and some nearly."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(clusters, width)) + 1.0
    vectors = centres[rng.integers(clusters, size=count)] + noise * rng.normal(size=(count, width))
    copied, near = rng.integers(count, size=(2, count // 10)), rng.integers(count, size=(2, count // 10))
    vectors[copied[0]] = vectors[copied[1]]
    vectors[near[0]] = vectors[near[1]] + 0.05 * rng.normal(size=(count // 10, width))
    return _unit(vectors), rng.integers(max(2, count // 20), size=count)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def naive(embeddings: np.ndarray, groups: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    cosines = (embeddings.astype(float) @ embeddings.astype(float).T).clip(-1, 1)
    cosines[groups[:, None] == groups] = -np.inf
    best = cosines.max(axis=1)
    return best > least, best


@pytest.mark.parametrize("least", [0.999, 0.99, 0.95, 0.8, 0.0])
@pytest.mark.parametrize("noise", [0.3, 1.0])
@pytest.mark.parametrize("rows", [50, 4096])
def test_every_look_alike_is_found_with_the_nearest(least, noise, rows, monkeypatch):
    monkeypatch.setattr(look_alikes, "_ROWS", rows)
    embeddings, groups = make_rows(600, 3, 24, 30, noise)
    places, cosines = find_look_alikes(embeddings, groups, least)
    near, best = naive(embeddings, groups, least)
    assert near.any()
    clear = np.abs(best - least) > 2e-6
    assert np.array_equal((places >= 0)[clear], near[clear])
    found = places >= 0
    assert np.allclose(cosines[found], best[found], atol=2e-6)
    assert (groups[places[found]] != groups[found]).all()
    own = np.einsum("nd,nd->n", embeddings[found].astype(float), embeddings[places[found]].astype(float))
    assert np.allclose(own, best[found], atol=2e-6)
    assert np.isnan(cosines[~found]).all()


def test_few_pairs_are_compared_where_the_bound_is_near_one(monkeypatch):
    embeddings, groups = make_rows(4000, 1, 64, 200, 0.3)
    compared = []
    real = look_alikes._Search._near
    monkeypatch.setattr(
        look_alikes._Search,
        "_near",
        lambda self, rows, members: compared.append(len(rows) * len(members)) or real(self, rows, members),
    )
    find_look_alikes(embeddings, groups, 0.99)
    assert sum(compared) < 0.1 * 4000**2


def test_the_first_of_equally_near_rows_is_taken_whatever_the_blocks_are(monkeypatch):
    base = _unit(np.random.default_rng(5).normal(size=(80, 16)))
    embeddings, groups = np.concatenate([base] * 4), np.repeat(np.arange(4), 80)
    first_of_another = np.where(groups == 0, np.arange(320) % 80 + 80, np.arange(320) % 80)
    for rows in (7, 1000):
        monkeypatch.setattr(look_alikes, "_ROWS", rows)
        places, cosines = find_look_alikes(embeddings, groups, 0.999)
        assert np.array_equal(places, first_of_another) and (cosines == 1).all()


def test_a_group_of_its_own_and_a_broken_row():
    embeddings, _ = make_rows(50, 2, 8, 3, 0.2)
    places, cosines = find_look_alikes(embeddings, np.zeros(50, int), 0.5)
    assert (places == -1).all() and np.isnan(cosines).all()
    embeddings[7] = np.nan
    with pytest.raises(SourceDataError, match="row 7"):
        find_look_alikes(embeddings, np.arange(50), 0.5)
