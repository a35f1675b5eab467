"""Zero-shot classification against CLIP_benchmark's functions, and where the two differ."""

import numpy as np
import pandas as pd
import pytest
import torch
from clip_benchmark.metrics import zeroshot_classification
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from cultureclip.benchmarks.protocols.benchmark import Declaration, Embeddings
from cultureclip.benchmarks.protocols.items import metric_of, named_concept
from cultureclip.benchmarks.protocols.ranking import shown_options, top_k_credit
from cultureclip.benchmarks.protocols.zero_shot import (
    Labelled,
    ZeroShotBenchmark,
    answer_zero_shot,
    class_texts,
    known_labels,
    mean_of_templates,
)
from cultureclip.errors import SourceDataError
from tests.benchmarks.conftest import unit

DECLARATION = Declaration(
    name="zero-shot", title="Zero-shot", question="?", source="somewhere", licence="none", holds_out="images"
)


@pytest.fixture(autouse=True)
def one_element_arrays_are_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    """CLIP_benchmark calls float() on an array of one element, which NumPy has ceased to allow."""
    monkeypatch.setattr(zeroshot_classification, "float", lambda array: array.item(), raising=False)


def ask(rng: np.random.Generator, pictures: int, classes: int) -> tuple[list[Labelled], list[str]]:
    # Labels are far from even, so that accuracy and mean per-class recall differ.
    labels = np.minimum(rng.geometric(0.15, pictures) - 1, classes - 1)
    return [Labelled(f"image {i}", int(label)) for i, label in enumerate(labels)], [
        f"class {c}" for c in range(classes)
    ]


def mean_credit(predictions: list, metric: str) -> float:
    return float(np.mean([p.correct for p in predictions if metric_of(p.item_id) == metric]))


def mean_per_class_recall(predictions: list) -> float:
    rows = pd.DataFrame(p.as_row("b", "m") for p in predictions if metric_of(p.item_id) == "top-1")
    return float(rows.groupby("category")["correct"].mean().mean())


@pytest.mark.parametrize("classes", [6, 40])
def test_without_ties_it_agrees_with_clip_benchmark(classes: int) -> None:
    rng = np.random.default_rng(classes)
    items, names = ask(rng, 1500, classes)  # more than one block
    vectors = unit(rng, classes, 16)
    images = vectors[[item.label for item in items]] + unit(rng, 1500, 16)
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    predictions = answer_zero_shot(items, names, images, vectors)
    logits, target = torch.from_numpy(images @ vectors.T), torch.tensor([item.label for item in items])
    top1, top5 = zeroshot_classification.accuracy(logits, target, topk=(1, 5))
    assert mean_credit(predictions, "top-1") == pytest.approx(top1, abs=1e-9)
    assert mean_credit(predictions, "top-5") == pytest.approx(top5, abs=1e-9)
    recall = balanced_accuracy_score(target, logits.argmax(dim=1))
    assert mean_per_class_recall(predictions) == pytest.approx(recall, abs=1e-9)
    assert recall != pytest.approx(top1, abs=1e-6)


def test_with_ties_a_collapsed_model_scores_chance_and_clip_benchmark_scores_by_position() -> None:
    rng = np.random.default_rng(0)
    items, names = ask(rng, 400, 10)
    images, vectors = np.ones((400, 1), np.float32), np.ones((10, 1), np.float32)
    predictions = answer_zero_shot(items, names, images, vectors)
    assert {p.correct for p in predictions if metric_of(p.item_id) == "top-1"} == {0.1}
    assert {p.correct for p in predictions if metric_of(p.item_id) == "top-5"} == {0.5}
    assert mean_per_class_recall(predictions) == pytest.approx(0.1)
    # There the score depends on how the classes are numbered: the same classes, counted backwards, score otherwise.
    logits, target = torch.ones(400, 10), torch.tensor([item.label for item in items])
    forwards, backwards = (zeroshot_classification.accuracy(logits, t)[0] for t in (target, 9 - target))
    assert abs(forwards - backwards) > 0.05


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=7), st.data())
def test_credit_is_the_mean_over_all_orders_of_the_tied(scores: list[int], data: st.DataObject) -> None:
    from itertools import permutations

    right = data.draw(st.integers(0, len(scores) - 1))
    k = data.draw(st.integers(1, len(scores)))
    orders = list(permutations(range(len(scores))))
    lucky = [right in sorted(order, key=lambda c: -scores[c])[:k] for order in orders]
    credit = top_k_credit(np.array([scores], float), np.array([right]), k)
    assert credit[0] == pytest.approx(np.mean(lucky))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-5, 5), min_size=2, max_size=12), st.data())
def test_the_options_shown_are_the_right_class_and_the_best_others(scores: list[int], data: st.DataObject) -> None:
    right = data.draw(st.integers(0, len(scores) - 1))
    shown = shown_options(np.array(scores, float), right)
    assert shown[0] == right
    assert len(set(shown)) == len(shown) == min(5, len(scores))
    rest = sorted((score for c, score in enumerate(scores) if c != right), reverse=True)
    assert [scores[c] for c in shown[1:]] == rest[:4]


def test_class_vectors_are_the_normalised_mean_of_normalised_templates() -> None:
    rng = np.random.default_rng(1)
    texts = unit(rng, 5, 3, 8)
    for c, vector in enumerate(mean_of_templates(texts)):
        mean = sum(texts[c]) / 3
        np.testing.assert_allclose(vector, mean / np.sqrt((mean**2).sum()), rtol=1e-5)


def test_the_benchmark_asks_every_template_and_reads_the_right_rows() -> None:
    rng = np.random.default_rng(2)
    classes, templates = ("cat", "{b}", "dog"), ("a {c}.", "the {c} {d}")
    items = tuple(Labelled(f"image {i}", i % 3) for i in range(30))
    benchmark = ZeroShotBenchmark(DECLARATION, {}, items, classes, templates)
    assert benchmark.texts == ["a cat.", "the cat {d}", "a {b}.", "the {b} {d}", "a dog.", "the dog {d}"]
    images, texts = unit(rng, 30, 8), unit(rng, 6, 8)
    image_rows = {f"image {i}": i for i in range(30)}
    text_rows = {text: i for i, text in enumerate(benchmark.texts)}
    answers = benchmark.answer(Embeddings(images, texts, image_rows, text_rows))
    vectors = [(texts[2 * c] + texts[2 * c + 1]) for c in range(3)]
    vectors = [v / np.linalg.norm(v) for v in vectors]
    for i, answer in enumerate(answers):
        assert answer.correct == float(np.argmax([images[i] @ v for v in vectors]) == i % 3)
        assert answer.options[0] == answer.category == classes[i % 3]
        assert answer.cluster == named_concept(classes[i % 3])
        assert (answer.predicted == 0) == (answer.correct == 1)
    assert len(answers) == 30  # no top-5 of three classes
    assert benchmark.card()["chances"] == {"top-1": 1 / 3}


def test_bad_input_is_listed_or_refused() -> None:
    items = [Labelled("a", 0), Labelled("b", 3), Labelled("c", -1), Labelled("a", 0), Labelled("a", 1)]
    kept, unposed = known_labels(items, 3)
    assert kept == (items[0], items[4])
    assert [(u.item, u.reason) for u in unposed] == [
        ("b: 3", "unknown label"),
        ("c: -1", "unknown label"),
        ("a: 0", "the same picture and label were asked about before"),
    ]
    for classes, templates, match in (
        (["cat"], ["a {c}"], "1 given"),
        (["cat", "dog"], [], "none given"),
        (["cat", "dog"], ["a {c}", "a photo"], "'a photo' has no"),
    ):
        with pytest.raises(SourceDataError, match=match):
            class_texts(classes, templates)
    assert ZeroShotBenchmark(DECLARATION, {}, (), ("cat", "dog"), ("{c}",)).card()["items"] == 0
    benchmark = ZeroShotBenchmark(DECLARATION, {}, kept, ("cat", "dog"), ("{c}",)).without({"a": "gone"})
    assert (benchmark.items, [u.item for u in benchmark.unposed]) == ((), ["a: gone", "a: gone"])
