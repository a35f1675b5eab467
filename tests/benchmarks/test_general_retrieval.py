"""Recall at k against a loop over queries and, for ties, against all orders of the candidates."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cultureclip.benchmarks.general_retrieval import Captioned, answer_general_retrieval, distinct_texts, recall_credit
from cultureclip.benchmarks.items import item_key
from tests.benchmarks.conftest import unit


@given(
    st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=2, max_size=6).filter(
        lambda c: any(r for _, r in c)
    ),
    st.integers(1, 4),
)
def test_credit_is_the_mean_over_all_orders(candidates: list[tuple[int, bool]], k: int) -> None:
    scores = np.array([[s for s, _ in candidates]], float)
    relevant = np.array([[r for _, r in candidates]])
    hits = []
    for order in permutations(range(len(candidates))):
        ranked = sorted(order, key=lambda i: -scores[0, i])
        hits.append(any(relevant[0, i] for i in ranked[:k]))
    assert recall_credit(scores, relevant, k)[0] == pytest.approx(np.mean(hits))


def test_answers_equal_a_loop_over_queries() -> None:
    rng = np.random.default_rng(0)
    items = [Captioned(f"image {i}", tuple(f"text {t}" for t in {i // 2, 20 + i % 7}), f"f{i // 2}") for i in range(24)]
    captions = distinct_texts(items)
    assert len(captions) == len(set(captions))
    images, texts = unit(rng, len(items), 8), unit(rng, len(captions), 8)
    answers = {a.item_id: a for a in answer_general_retrieval(items, images, texts)}
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
    items = [Captioned(f"image {i}", (f"text {i}",), f"f{i}") for i in range(20)]
    same = np.full((20, 4), 0.5, np.float32)
    answers = answer_general_retrieval(items, same, same)
    by_metric = {k: {round(a.correct, 9) for a in answers if f"R@{k}:" in a.item_id} for k in (1, 5, 10)}
    assert by_metric == {1: {0.05}, 5: {0.25}, 10: {0.5}}
