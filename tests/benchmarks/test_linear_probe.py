"""The linear probe learns what is there, chooses on validation, and refuses classes that it cannot fit."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from cultureclip.benchmarks.protocols.benchmark import Declaration, Embeddings
from cultureclip.benchmarks.protocols.items import named_concept
from cultureclip.benchmarks.protocols.linear_probe import (
    STRENGTHS,
    LinearProbeBenchmark,
    Probed,
    answer_probe,
    ask_probe,
)
from cultureclip.errors import SourceDataError, WeightsError
from tests.benchmarks.conftest import unit

SPLITS = ("train", "train", "train", "validation", "test")


def make_items(classes: int, each: int = 20) -> list[Probed]:
    return [
        Probed(image=f"{label} {i}", label=f"class {label}", split=SPLITS[i % 5], culture=f"R{label}")
        for label in range(classes)
        for i in range(each)
    ]


def embed(items: list[Probed], noise: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = {label: unit(rng, 12) for label in sorted({item.label for item in items})}
    vectors = np.stack([centres[item.label] for item in items]) + noise * rng.normal(size=(len(items), 12))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 5, 7])
def test_it_answers_as_scikit_learn_with_the_strength_chosen_on_validation(classes: int) -> None:
    items = make_items(classes)
    images = np.round(embed(items, 0.8), 6)
    labels = np.array([item.label for item in items])
    split = np.array([item.split for item in items])

    def right(strength: float, fitted: np.ndarray, asked: np.ndarray) -> np.ndarray:
        probe = LogisticRegression(C=strength, max_iter=1000).fit(images[fitted], labels[fitted])
        return probe.predict(images[asked]) == labels[asked]

    train, validation, test = (split == name for name in ("train", "validation", "test"))
    chosen = max(STRENGTHS, key=lambda c: (right(c, train, validation).mean(), -c))
    # In the order in which the probe is fitted: train first.
    order = np.concatenate([np.flatnonzero(train), np.flatnonzero(validation)])
    expected = right(chosen, order, np.flatnonzero(test))
    answers = answer_probe(items, images)
    assert [answer.correct == 1 for answer in answers] == expected.tolist()
    assert 1 / classes < expected.mean() < 1
    for answer in answers:
        assert answer.options[0] == answer.category
        assert answer.cluster == named_concept(answer.category)
        assert len(answer.options) == min(classes, 5)
        assert (answer.predicted == 0) == (answer.correct == 1)
    assert answers == answer_probe(items, images)


def test_a_collapsed_model_scores_chance() -> None:
    answers = answer_probe(make_items(4), np.ones((80, 3)))
    assert {answer.correct for answer in answers} == {0.25}


def test_classes_that_cannot_be_fitted_are_refused_by_name() -> None:
    items = make_items(3)
    with pytest.raises(SourceDataError, match="class 'rare' has 1 pictures for train, needs 2; class 'rare' has 0"):
        answer_probe([*items, Probed(image="x", label="rare", split="train")], np.ones((61, 3)))
    with pytest.raises(SourceDataError, match="1 classes to fit"):
        ask_probe(make_items(1))
    with pytest.raises(WeightsError, match="not finite"):
        answer_probe(items, np.full((60, 3), np.nan))


def test_items_that_cannot_be_used_are_listed() -> None:
    items = make_items(2)
    bad = [
        Probed(image="x", label="unseen", split="test"),
        Probed(image="0 0", label="class 0", split="test"),
        items[4],
        items[0],
    ]
    kept, unposed = ask_probe(items + bad)
    assert kept == tuple(items)
    assert [u.reason for u in unposed] == [
        "unknown label",
        "the picture is also in a split that is fitted",
        "the same picture and label came before",
        "the same picture and label came before",
    ]


def test_the_benchmark_reads_the_right_rows() -> None:
    items = tuple(make_items(3))
    images = embed(items, 0.4)
    order = np.random.default_rng(1).permutation(len(items))
    rows = {items[i].image: row for row, i in enumerate(order)}
    benchmark = LinearProbeBenchmark(
        Declaration(name="p", title="P", question="?", source="s", licence="l", holds_out="images"), {}, items
    )
    answers = benchmark.answer(Embeddings(images[order], np.zeros((0, 0)), rows, {}))
    assert answers == answer_probe(items, images)
    assert benchmark.size == len(answers) == 12
    assert benchmark.texts == []
    assert benchmark.without({"0 4": "gone"}).size == 11
