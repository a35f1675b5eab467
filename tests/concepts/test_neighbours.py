"""Both searches against the naive one over the full matrix, and what may not matter to them."""

import logging

import numpy as np
import pytest

from cultureclip.concepts import neighbours
from cultureclip.concepts.cells import Cells
from cultureclip.concepts.neighbours import Neighbours, culture_matrix, nearest_of_other_cultures
from cultureclip.concepts.settings import SearchSettings
from cultureclip.errors import SourceDataError

CODES = ["JP", "KR", "CN", "MX", "PE"]
IN_CELLS = SearchSettings(exact_up_to=0, recall=1.0, sample=10_000)  # the sample is everything: nothing is missed
ROUGH = SearchSettings(exact_up_to=0, recall=0.9, sample=200)

Large = tuple[np.ndarray, list[list[str]], np.ndarray]


def make_embeddings(count: int, seed: int, width: int = 8, clusters: int = 6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = 2 * rng.normal(size=(clusters, width))
    vectors = centres[rng.integers(clusters, size=count)] + rng.normal(size=(count, width))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def make_cultures(count: int, seed: int) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    return [list(rng.choice(CODES, size=rng.integers(1, 4), replace=False)) for _ in range(count)]


def naive(embeddings: np.ndarray, cultures: list[list[str]], k: int) -> tuple[np.ndarray, np.ndarray]:
    similarity = embeddings @ embeddings.T
    for i, here in enumerate(cultures):
        for j, there in enumerate(cultures):
            if set(here) & set(there):
                similarity[i, j] = -np.inf
    similarity = np.pad(similarity, ((0, 0), (0, k)), constant_values=-np.inf)
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    values = np.take_along_axis(similarity, order, 1)
    return np.where(np.isneginf(values), -1, order), values


def recall(found: Neighbours, expected: np.ndarray) -> float:
    hits = [np.isin(there, here[here >= 0]).sum() for here, there in zip(expected, found.places, strict=True)]
    return float(sum(hits) / (expected >= 0).sum())


@pytest.mark.parametrize("search", [None, IN_CELLS], ids=["exact", "cells"])
@pytest.mark.parametrize("block", [7, 64, 1000])
@pytest.mark.parametrize("k", [1, 5, 60, 200])
def test_equals_the_naive_search(block: int, k: int, search: SearchSettings | None) -> None:
    count = 60
    embeddings, cultures = make_embeddings(count, k), make_cultures(count, k)
    found = nearest_of_other_cultures(embeddings, culture_matrix(cultures), k, search, block)
    expected, values = naive(embeddings, cultures, k)
    assert np.allclose(found.cosines, values, atol=1e-6)
    assert np.array_equal(found.places, expected)


def test_a_small_category_is_searched_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_cells(*arguments: object) -> None:
        raise AssertionError("cells for a small category")

    monkeypatch.setattr(neighbours, "Cells", no_cells)
    cultures = culture_matrix(make_cultures(50, 0))
    settings = IN_CELLS.model_copy(update={"exact_up_to": 50})
    assert nearest_of_other_cultures(make_embeddings(50, 0), cultures, 3, settings).places.shape == (50, 3)
    with pytest.raises(AssertionError, match="cells"):
        nearest_of_other_cultures(make_embeddings(50, 0), cultures, 3, IN_CELLS)


@pytest.fixture(scope="module")
def large() -> Large:
    embeddings, cultures = make_embeddings(1500, 5, width=32, clusters=30), make_cultures(1500, 5)
    return embeddings, cultures, naive(embeddings, cultures, 20)[0]


def test_cells_find_the_share_that_was_asked_for(large: Large, caplog: pytest.LogCaptureFixture) -> None:
    embeddings, cultures, expected = large
    caplog.set_level(logging.INFO, "cultureclip")
    for asked in (0.5, 0.99):
        settings = ROUGH.model_copy(update={"recall": asked})
        share = recall(nearest_of_other_cultures(embeddings, culture_matrix(cultures), 20, settings), expected)
        assert share > asked - 0.03  # the sample's error
        if asked < 0.9:
            assert share < 0.99, "so the search did leave cells out"
    assert "hold 99.0 % of the neighbours of a sample of 200" in caplog.text


def test_reruns_and_threads_do_not_matter(large: Large, monkeypatch: pytest.MonkeyPatch) -> None:
    import faiss

    embeddings, cultures, _ = large
    found = []
    for threads in (1, 2, 2):
        faiss.omp_set_num_threads(threads)
        monkeypatch.setattr(neighbours, "_WORKERS", threads)
        found.append(nearest_of_other_cultures(embeddings, culture_matrix(cultures), 20, ROUGH))
    for again in found[1:]:
        assert np.array_equal(again.places, found[0].places)
        assert np.array_equal(again.cosines, found[0].cosines)


@pytest.mark.parametrize("search", [None, ROUGH], ids=["exact", "cells"])
def test_a_single_culture_has_no_neighbours(search: SearchSettings | None) -> None:
    cultures = culture_matrix([["JP"]] * 300)
    found = nearest_of_other_cultures(make_embeddings(300, 1), cultures, 2, search)
    assert (found.places == -1).all()
    assert np.isneginf(found.cosines).all()


@pytest.mark.parametrize("search", [None, ROUGH], ids=["exact", "cells"])
def test_a_single_concept_has_no_neighbours(search: SearchSettings | None) -> None:
    found = nearest_of_other_cultures(np.ones((1, 1), np.float32), culture_matrix([["JP"]]), 3, search)
    assert found.places.tolist() == [[-1, -1, -1]]


def test_no_row_lacks_neighbours_that_exist() -> None:
    """All cells near a row are of its own culture; a few foreign rows are far off, and each has hundreds of others."""
    embeddings = make_embeddings(1000, 2, width=16)
    far = embeddings @ embeddings[0] < np.quantile(embeddings @ embeddings[0], 0.01)
    cultures = [["KR"] if away else ["JP", "CN"][: 1 + row % 2] for row, away in enumerate(far)]
    found = nearest_of_other_cultures(embeddings, culture_matrix(cultures), 15, ROUGH)
    expected, _ = naive(embeddings, cultures, 15)
    assert np.array_equal((found.places >= 0).sum(axis=1), np.where(far, 15, far.sum()))
    assert np.array_equal(found.places[~far], expected[~far])


def test_cells_of_one_culture_are_passed_over() -> None:
    """Where each cluster is one culture, the nearest cells hold nothing foreign, and are not counted as looked into."""
    rng = np.random.default_rng(0)
    place = np.repeat(np.arange(5), 200)
    embeddings = np.eye(16)[place] + 0.1 * rng.normal(size=(1000, 16))
    embeddings = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float32)
    cultures = [[CODES[p]] for p in place]
    rows = np.arange(1000)
    looks = list(Cells(embeddings, culture_matrix(cultures)).probe(rows, 3))
    assert set(np.concatenate([here for here, _ in looks])) == set(rows), "every row looks somewhere"
    for here, members in looks:
        assert not set(place[here]) & set(place[members])


def test_every_row_is_listed_once_and_looks_into_its_nearest_cells_the_nearest_first(large: Large) -> None:
    embeddings, cultures, _ = large
    cells = Cells(embeddings, culture_matrix(cultures))
    rows = cells.list_rows()
    assert np.array_equal(np.sort(rows), np.arange(1500))
    centres = np.stack([embeddings[members].mean(axis=0) for members in cells.members])
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    looks = list(cells.probe(rows[:200], 5))
    found = np.concatenate([here for here, _ in looks])
    assert np.array_equal(np.bincount(found), np.full(200, 5))
    nearness = [(embeddings[rows[here]] @ centres[cells.cell_of[members[0]]]).mean() for here, members in looks]
    assert np.corrcoef(nearness, -np.arange(len(nearness)))[0, 1] > 0.7
    beside = (centres[:-1] * centres[1:]).sum(axis=1).mean()
    shuffled = centres[np.random.default_rng(0).permutation(len(centres))]
    assert beside > (shuffled[:-1] * shuffled[1:]).sum(axis=1).mean() + 0.1, "cells with near numbers are near"


@pytest.mark.parametrize("search", [None, IN_CELLS], ids=["exact", "cells"])
def test_duplicates_are_neighbours_of_each_other(search: SearchSettings | None) -> None:
    embeddings = np.repeat(make_embeddings(40, 3), 5, axis=0)
    cultures = CODES * 40  # one of each culture
    found = nearest_of_other_cultures(embeddings, culture_matrix([[code] for code in cultures]), 4, search)
    assert np.allclose(found.cosines, 1, atol=1e-6)
    assert (found.places // 5 == np.arange(200)[:, None] // 5).all()
    assert (np.diff(found.places) != 0).all()
    same = np.ones((100, 8), np.float32) / np.sqrt(8)
    everywhere = nearest_of_other_cultures(same, culture_matrix([[code] for code in CODES * 20]), 4, search)
    assert (everywhere.places >= 0).all()


@pytest.mark.parametrize("search", [None, ROUGH], ids=["exact", "cells"])
@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_a_vector_that_is_no_direction_is_refused_by_row(value: float, search: SearchSettings | None) -> None:
    embeddings = make_embeddings(30, 4)
    embeddings[7] = value
    with pytest.raises(SourceDataError, match=r"embeddings, row 7: 1 vectors are not finite or not of length 1"):
        nearest_of_other_cultures(embeddings, culture_matrix(make_cultures(30, 4)), 2, search)


def test_another_number_of_rows_is_refused() -> None:
    with pytest.raises(SourceDataError, match=r"shape is \(30, 8\), and there are 29 concepts"):
        nearest_of_other_cultures(make_embeddings(30, 4), culture_matrix(make_cultures(29, 4)), 2)
