"""SugarCrepe's and Winoground's formats against CLIP_benchmark's own loop over real (tiny) embeddings, and by hand."""

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
import torch
from clip_benchmark.metrics.image_caption_selection import evaluate

from cultureclip.benchmarks.protocols.benchmark import Declaration, Embeddings
from cultureclip.benchmarks.protocols.choice import answer_questions
from cultureclip.benchmarks.protocols.items import Prediction, metric_of
from cultureclip.benchmarks.protocols.sugarcrepe import SugarCrepeItem, ask_sugarcrepe
from cultureclip.benchmarks.protocols.winoground import (
    CHANCES,
    WinogroundBenchmark,
    WinogroundItem,
    answer_winoground,
)
from cultureclip.graphs import connect
from tests.benchmarks.conftest import unit

N, D = 120, 8


class Lookup:
    """A CLIP whose pictures and tokens are rows of given embeddings, as CLIP_benchmark calls one."""

    def __init__(self, images: np.ndarray, texts: np.ndarray) -> None:
        self.images, self.texts = torch.from_numpy(images), torch.from_numpy(texts)

    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.images[pixels[:, 0, 0, 0].long()]

    def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.texts[tokens]

    def evaluate(self, instances: list[tuple[list[int], list[int]]]) -> dict[str, float]:
        """Scores of instances (rows of pictures, rows of texts)."""
        batches = [
            (torch.tensor([pictures]).float().reshape(1, -1, 1, 1, 1), [[str(t) for t in texts]])
            for pictures, texts in instances
        ]
        return evaluate(self, batches, lambda texts: torch.tensor([int(t) for t in texts]), "cpu", amp=False)


def answer_pairs(images: np.ndarray, texts: np.ndarray, *, swapped: bool = False) -> list[Prediction]:
    """Picture i, right caption 2i, wrong caption 2i + 1."""
    pairs = [
        SugarCrepeItem(image=f"{i}", caption=f"{2 * i}", wrong=f"{2 * i + 1}", subset=f"subset {i % 3}")
        for i in range(len(images))
    ]
    questions = ask_sugarcrepe(pairs).questions
    rows = {str(i): i for i in range(2 * N)}
    if swapped:
        texts = texts.reshape(-1, 2, D)[:, ::-1].reshape(-1, D)
    return answer_questions(questions, images, rows, texts, rows)


def mean(predictions: list[Prediction], metric: str = "accuracy") -> float:
    return float(np.mean([p.correct for p in predictions if metric_of(p.item_id) == metric]))


def with_ties(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings where in every third instance the two texts are the same vector."""
    images, texts = unit(rng, N, D), unit(rng, 2 * N, D)
    texts[1::6] = texts[::6]
    return images, texts


def test_pairs_without_ties_agree_with_clip_benchmark() -> None:
    rng = np.random.default_rng(0)
    images, texts = unit(rng, N, D), unit(rng, 2 * N, D)
    theirs = Lookup(images, texts).evaluate([([i], [2 * i, 2 * i + 1]) for i in range(N)])
    ours = answer_pairs(images, texts)
    assert mean(ours) == pytest.approx(theirs["text_acc"])
    assert {(p.cluster, p.category) for p in ours} == {(f"{i}", f"subset {i % 3}") for i in range(N)}


def test_with_ties_clip_benchmark_takes_the_first_caption_which_is_the_right_one() -> None:
    images, texts = with_ties(np.random.default_rng(1))
    lookup = Lookup(images, texts)
    right_first = lookup.evaluate([([i], [2 * i, 2 * i + 1]) for i in range(N)])["text_acc"]
    right_last = lookup.evaluate([([i], [2 * i + 1, 2 * i]) for i in range(N)])["text_acc"]
    ties = 1 / 3
    # Told the captions the other way round, the share that it calls right is the true one less all ties.
    true = mean(answer_pairs(images, texts))
    assert right_first == pytest.approx(true + ties / 2)
    assert 1 - right_last == pytest.approx(true - ties / 2)


def test_the_order_of_captions_changes_nothing_and_a_collapsed_model_scores_half() -> None:
    images, texts = with_ties(np.random.default_rng(2))
    assert mean(answer_pairs(images, texts)) == pytest.approx(1 - mean(answer_pairs(images, texts, swapped=True)))
    same = np.ones((N, D), np.float32) / np.sqrt(D), np.ones((2 * N, D), np.float32) / np.sqrt(D)
    assert mean(answer_pairs(*same)) == 0.5
    assert Lookup(*same).evaluate([([i], [2 * i, 2 * i + 1]) for i in range(N)])["text_acc"] == 1.0


def test_pairs_that_cannot_be_asked_are_listed() -> None:
    pairs = [
        SugarCrepeItem(image="i", caption="a", wrong="b", subset="swap"),
        SugarCrepeItem(image="i", caption="a", wrong="b", subset="swap"),
        SugarCrepeItem(image="i", caption="a", wrong="a", subset="swap"),
        SugarCrepeItem(image="i", caption=" ", wrong="b", subset="swap"),
    ]
    asked = ask_sugarcrepe(pairs)
    assert len(asked.questions) == 1
    assert [u.reason for u in asked.unposed] == [
        "the same picture and captions were asked about before",
        "both captions are the same",
        "a caption is empty",
    ]


def make_twins() -> list[WinogroundItem]:
    return [
        WinogroundItem(
            images=(f"{2 * i}", f"{2 * i + 1}"), texts=(f"{2 * i}", f"{2 * i + 1}"), cluster=f"{i}", category="kind"
        )
        for i in range(N)
    ]


def test_twin_scores_agree_with_clip_benchmark_on_winoground() -> None:
    rng = np.random.default_rng(3)
    images = unit(rng, 2 * N, D)
    texts = images + rng.normal(0, 0.4, images.shape).astype(np.float32)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    theirs = Lookup(images, texts).evaluate([([2 * i, 2 * i + 1], [2 * i, 2 * i + 1]) for i in range(N)])
    ours = answer_winoground(make_twins(), images.reshape(N, 2, D), texts.reshape(N, 2, D))
    assert mean(ours, "text") == pytest.approx(theirs["text_acc"])
    assert mean(ours, "image") == pytest.approx(theirs["image_acc"])
    assert mean(ours, "group") == pytest.approx(theirs["acc"])
    assert 0.2 < theirs["acc"] < theirs["text_acc"] < 0.98


def test_twin_scores_by_hand() -> None:
    # Pictures at 0 and 90 degrees; the first text at 10, the second at 40: nearer to the first picture.
    angles = np.radians([[[0, 90], [10, 40]], [[0, 90], [10, 50]], [[0, 0], [10, 50]]])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    answers = answer_winoground(make_twins()[:3], vectors[:, 0], vectors[:, 1])
    credit = {(p.cluster, metric_of(p.item_id)): p.correct for p in answers}
    # First: each picture prefers its own text, but the second text prefers the first picture.
    assert [credit["0", m] for m in ("text", "image", "group")] == [1, 0, 0]
    assert [credit["1", m] for m in ("text", "image", "group")] == [1, 1, 1]
    # Third: one picture twice, so its texts tie over pictures.
    assert [credit["2", m] for m in ("text", "image", "group")] == [0, 0, 0]
    image = next(p for p in answers if p.cluster == "0" and metric_of(p.item_id) == "image")
    assert (image.options, image.predicted) == (("1", "0"), 1)
    np.testing.assert_allclose(image.scores, np.cos(np.radians([50, 40])), atol=1e-6)


def test_guessing_scores_a_quarter_a_quarter_and_a_sixth() -> None:
    """Over all orders of four different cosines."""
    orders = np.array(list(permutations(range(4))), float).reshape(-1, 2, 2) / 10
    # Orthonormal pictures read a text's coordinates: cosine (picture, text) is whatever the order says.
    pictures = np.broadcast_to(np.eye(2), (len(orders), 2, 2))
    answers = answer_winoground(make_twins()[: len(orders)], pictures, orders.transpose(0, 2, 1))
    assert {metric: mean(answers, metric) for metric in CHANCES} == pytest.approx(CHANCES)
    assert list(CHANCES.values()) == [1 / 4, 1 / 4, 1 / 6]


def test_swapping_the_two_sides_changes_no_score_and_a_collapsed_model_scores_none() -> None:
    rng = np.random.default_rng(4)
    images, texts = unit(rng, N, 2, D), unit(rng, N, 2, D)
    one, other = (
        answer_winoground(make_twins(), images, texts),
        answer_winoground(make_twins(), images[:, ::-1], texts[:, ::-1]),
    )
    assert [p.correct for p in one] == [p.correct for p in other]
    assert {p.correct for p in answer_winoground(make_twins(), np.ones((N, 2, 1)), np.ones((N, 2, 1)))} == {0.0}


def test_twins_that_hang_together_are_one_cluster() -> None:
    pairs = [("c", "d"), ("a", "b"), ("d", "e"), ("x", "b"), ("q", "r")]
    assert [connect(pairs)[first] for first, _ in pairs] == ["c", "a", "c", "a", "q"]
    assert connect([]) == {}


def test_the_twin_benchmark_reads_the_right_rows() -> None:
    rng = np.random.default_rng(5)
    twins = tuple(make_twins()[:4])
    images, texts = unit(rng, 8, D), unit(rng, 8, D)
    order = rng.permutation(8)
    rows = {str(k): int(np.flatnonzero(order == k)[0]) for k in range(8)}
    benchmark = WinogroundBenchmark(
        Declaration(name="t", title="T", question="?", source="s", licence="l", holds_out="images"), {}, twins
    )
    answers = benchmark.answer(Embeddings(images[order], texts[order], rows, rows))
    expected = answer_winoground(twins, images.reshape(4, 2, D), texts.reshape(4, 2, D))
    assert answers == expected
    fewer = benchmark.without({"3": "gone"})
    assert (len(fewer.twins), [u.item for u in fewer.unposed]) == (3, ["3: gone"])
    assert fewer.data_hash != benchmark.data_hash
    other_kind = WinogroundBenchmark(
        benchmark.declaration, {}, tuple(replace(twin, category="other") for twin in twins)
    )
    assert other_kind.data_hash != benchmark.data_hash
    assert {a != b for a, b in product(fewer.texts, ["2", "3"])} == {True}
