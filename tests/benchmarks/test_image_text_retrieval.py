"""Recall at k against a loop over queries and, for ties, against all orders of the candidates."""

import tracemalloc
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cultureclip.benchmarks.protocols.image_text_retrieval import (
    Captioned,
    answer_image_text_retrieval,
    distinct_texts,
)
from cultureclip.benchmarks.protocols.items import item_key, round_cosines
from cultureclip.benchmarks.protocols.recall import rank
from tests.benchmarks.conftest import unit


@given(
    st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=2, max_size=6).filter(
        lambda c: any(r for _, r in c)
    ),
    st.integers(1, 4),
)
def test_credit_is_the_mean_over_all_orders(candidates: list[tuple[int, bool]], k: int) -> None:
    scores = np.array([s for s, _ in candidates], float)
    relevant = [r for _, r in candidates]
    hits = []
    for order in permutations(range(len(candidates))):
        ranked = sorted(order, key=lambda i: -scores[i])
        hits.append(any(relevant[i] for i in ranked[:k]))
    pairs = np.array([(0, i) for i, r in enumerate(relevant) if r])
    assert rank(np.ones((1, 1)), scores[:, None], pairs, k).credit(k)[0] == pytest.approx(np.mean(hits))


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 30), st.integers(1, 200))
def test_blocks_change_nothing(seed: int, queries: int, candidates: int, block: int) -> None:
    """Against whole matrices, with many ties: whatever the block, the same counts, candidates and cosines."""
    rng = np.random.default_rng(seed)
    asked = rng.integers(-2, 3, (queries, 3)) / 4.0
    found = rng.integers(-2, 3, (candidates, 3)) / 4.0
    relevant = rng.random((queries, candidates)) < 0.2
    relevant[np.arange(queries), rng.integers(0, candidates, queries)] = True
    pairs = rng.permutation(np.argwhere(relevant))
    ranking = rank(asked, found, pairs, 5, block)
    scores = round_cosines(asked @ found.T)
    best = np.where(relevant, scores, -np.inf).max(axis=1, keepdims=True)
    np.testing.assert_array_equal(ranking.above, (scores > best).sum(axis=1))
    np.testing.assert_array_equal(ranking.tied, (scores == best).sum(axis=1))
    np.testing.assert_array_equal(ranking.tied_relevant, ((scores == best) & relevant).sum(axis=1))
    order = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    np.testing.assert_array_equal(ranking.best, order)
    np.testing.assert_array_equal(ranking.cosines, np.take_along_axis(scores, order, axis=1))


def test_recall_equals_clip_benchmark_s() -> None:
    """Their own function over the same embeddings, without ties, with one to four captions an image."""
    from clip_benchmark.metrics.zeroshot_retrieval import batchify, recall_at_k

    rng = np.random.default_rng(1)
    owners = np.repeat(np.arange(60), rng.integers(1, 5, 60))
    images = unit(rng, 60, 16)
    texts = images[owners] + unit(rng, len(owners), 16)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    positive = torch.from_numpy(owners[:, None] == np.arange(60))
    scores = torch.from_numpy(texts @ images.T)
    pairs = np.stack([owners, np.arange(len(owners))], axis=1)
    for k in (1, 5, 10):
        by_text = (batchify(recall_at_k, scores, positive, 7, "cpu", k=k) > 0).numpy()
        by_image = (batchify(recall_at_k, scores.T, positive.T, 7, "cpu", k=k) > 0).numpy()
        np.testing.assert_array_equal(rank(texts, images, pairs[:, ::-1], 10, block=100).credit(k), by_text)
        np.testing.assert_array_equal(rank(images, texts, pairs, 10, block=100).credit(k), by_image)


def test_memory_does_not_grow_with_texts_times_images() -> None:
    """Arrays of a block, and the answers: 4 x the queries on 4 x the candidates take no 16 x the memory."""

    def peak(count: int) -> int:
        vectors = np.zeros((count, 4), np.float32)
        pairs = np.stack([np.arange(count)] * 2, axis=1)
        tracemalloc.start()
        rank(vectors, vectors, pairs, 1, block=1 << 16)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(2000) < 2 * peak(500)


def test_parts_are_drawn_by_family_unless_given() -> None:
    items = [Captioned(image=f"image {i}", captions=(f"text {i}",), family=f"f{i}", part="test") for i in range(30)]
    vectors = unit(np.random.default_rng(0), 30, 4)
    assert {a.part for a in answer_image_text_retrieval(items, vectors, vectors)} == {"test"}
    drawn = [Captioned(image=item.image, captions=item.captions, family=item.family) for item in items]
    assert {a.part for a in answer_image_text_retrieval(drawn, vectors, vectors)} == {"dev", "test"}


def test_answers_equal_a_loop_over_queries() -> None:
    rng = np.random.default_rng(0)
    items = [
        Captioned(image=f"image {i}", captions=tuple(f"text {t}" for t in {i // 2, 20 + i % 7}), family=f"f{i // 2}")
        for i in range(24)
    ]
    captions = distinct_texts(items)
    assert len(captions) == len(set(captions))
    images, texts = unit(rng, len(items), 8), unit(rng, len(captions), 8)
    answers = {a.item_id: a for a in answer_image_text_retrieval(items, images, texts)}
    cosines = images @ texts.T
    for k in (1, 5, 10):
        for i, item in enumerate(items):
            first = [captions[j] for j in np.argsort(-cosines[i])[:k]]
            answer = answers[item_key(f"image-to-text R@{k}", "general-retrieval", item.image)]
            assert answer.correct == float(any(text in item.captions for text in first))
            assert answer.options == tuple(first)
            assert answer.cluster == item.family
        for j, text in enumerate(captions):
            first = [items[i] for i in np.argsort(-cosines[:, j])[:k]]
            answer = answers[item_key(f"text-to-image R@{k}", "general-retrieval", text)]
            assert answer.correct == float(any(text in item.captions for item in first))
    assert len(answers) == 3 * (len(items) + len(captions))


def test_a_collapsed_model_scores_the_share_of_relevant_candidates() -> None:
    items = [Captioned(image=f"image {i}", captions=(f"text {i}",), family=f"f{i}") for i in range(20)]
    same = np.full((20, 4), 0.5, np.float32)
    answers = answer_image_text_retrieval(items, same, same)
    by_metric = {k: {round(a.correct, 9) for a in answers if f"R@{k}:" in a.item_id} for k in (1, 5, 10)}
    assert by_metric == {1: {0.05}, 5: {0.25}, 10: {0.5}}
