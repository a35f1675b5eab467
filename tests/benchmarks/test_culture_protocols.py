"""The three culture protocols against item-by-item readings of their rules."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from cultureclip.benchmarks.choice import answer_questions, shared_credit
from cultureclip.benchmarks.crope import ConceptPictures, ask_crope
from cultureclip.benchmarks.globalrg_grounding import ask_grounding
from cultureclip.benchmarks.globalrg_retrieval import ask_retrieval
from cultureclip.benchmarks.items import Question, Shown, draw_distractors, item_key, metric_of, part_of
from tests.benchmarks.conftest import unit


def random_items(seed: int, count: int = 60) -> list[Shown]:
    rng = np.random.default_rng(seed)
    items = []
    for i in range(count):
        regions = tuple(sorted({f"R{r}" for r in rng.integers(0, 12, rng.integers(1, 4))}))
        alike = frozenset(f"c{j}" for j in rng.integers(0, count, 2) if j != i)
        items.append(Shown(f"c{i}", f"thing {i}", f"kind {rng.integers(0, 8)}", regions, f"image {i}", alike))
    return items


@pytest.mark.parametrize("seed", range(5))
def test_grounding_follows_its_rules(seed: int) -> None:
    items = random_items(seed)
    asked = ask_grounding(items)
    expected = 0
    texts = {q.item_id: q for q in asked.questions}
    for item in items:
        for region in item.regions:
            there = [other for other in items if region in other.regions]
            wrong = {o.name for o in there if o.concept_id != item.concept_id and o.concept_id not in item.alike}
            if len(there) < 4 or len(wrong) < 3:
                continue
            expected += 1
            question = texts[item_key("accuracy", "globalrg-grounding", item.concept_id, region)]
            assert question.image == item.image
            assert question.cluster == item.concept_id
            assert question.options[0] == f"The item in the picture is {item.name} in {region}"
            assert len(set(question.options)) == 4
            assert set(question.options[1:]) <= {f"The item in the picture is {name} in {region}" for name in wrong}
    assert len(asked.questions) == expected > 10
    assert len(asked.questions) + len(asked.unposed) == sum(len(item.regions) for item in items)


@pytest.mark.parametrize("seed", range(5))
def test_retrieval_follows_its_rules(seed: int) -> None:
    items = random_items(seed)
    asked = ask_retrieval(items)
    by_id = {item.concept_id: item for item in items}
    expected = 0
    texts = {q.item_id: q for q in asked.questions}
    for item in items:
        regions = {r for other in items if other.universal == item.universal for r in other.regions}
        right = {*item.regions} | {r for other in item.alike for r in by_id[other].regions}
        for region in item.regions:
            if len(regions) < 4 or len(regions - right) < 3:
                continue
            expected += 1
            question = texts[item_key("accuracy", "globalrg-retrieval", item.concept_id, region)]
            form = "The picture depicts a kind of {} in {}"
            assert question.options[0] == form.format(item.universal, region)
            assert len(set(question.options)) == 4
            assert set(question.options[1:]) <= {form.format(item.universal, r) for r in regions - right}
    assert len(asked.questions) == expected > 10
    assert len(asked.questions) + len(asked.unposed) == sum(len(item.regions) for item in items)


def test_crope_asks_about_every_picture_of_both_sides() -> None:
    taco = ConceptPictures("1", "taco", ("t",))
    gyro = ConceptPictures("2", "gyro", ("g1", "g2"))
    asked = ask_crope([(taco, gyro), (taco, ConceptPictures("3", "taco", ("x",)))])
    assert [(q.image, q.options, q.cluster) for q in asked.questions] == [
        ("t", ("There is taco in the image.", "There is gyro in the image."), "1"),
        ("g1", ("There is gyro in the image.", "There is taco in the image."), "2"),
        ("g2", ("There is gyro in the image.", "There is taco in the image."), "2"),
    ]
    assert [u.reason for u in asked.unposed] == ["both concepts have the same name"] * 2


def test_questions_do_not_depend_on_the_order_of_items() -> None:
    items = random_items(1)
    for ask in (ask_grounding, ask_retrieval):
        assert {q.item_id: q for q in ask(items).questions} == {q.item_id: q for q in ask(items[::-1]).questions}


def test_draws_do_not_depend_on_the_hash_seed() -> None:
    code = (
        "from cultureclip.benchmarks.items import draw_distractors as d;"
        "print([d({f'r{i}' for i in range(30)}, {'r3'}, f'item {k}') for k in range(20)])"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("0", "1")
    }
    assert len(printed) == 1


def test_draws_are_even_and_never_excluded() -> None:
    names = [f"r{i}" for i in range(8)]
    drawn = Counter(name for k in range(4000) for name in draw_distractors(names, {"r0"}, f"item {k}") or ())
    assert "r0" not in drawn
    assert min(drawn.values()) > 0.9 * 4000 * 3 / 7
    assert draw_distractors(names, set(names[2:]), "item") is None


def test_answers_equal_a_loop_over_items() -> None:
    rng = np.random.default_rng(0)
    images, texts = unit(rng, 20, 16), unit(rng, 50, 16)
    questions = []
    for k in range(200):
        options = tuple(str(t) for t in rng.choice(50, 4 if k % 3 else 2, replace=False))
        questions.append(Question(f"accuracy:{k}", str(rng.integers(20)), options, "c", "test"))
    rows = {str(i): i for i in range(50)}
    answers = answer_questions(questions, images, rows, texts, rows)
    for question, answer in zip(questions, answers, strict=True):
        cosines = [float(images[int(question.image)] @ texts[int(option)]) for option in question.options]
        assert answer.item_id == question.item_id
        assert answer.predicted == int(np.argmax(cosines))
        assert answer.correct == float(np.argmax(cosines) == 0)
        np.testing.assert_allclose(answer.scores, cosines, atol=2e-6)


def test_ties_share_the_credit() -> None:
    scores = np.array([[0.5, 0.5, 0.1, 0.1], [0.5, 0.5, 0.5, 0.5], [0.1, 0.5, 0.5, 0.0], [0.9, 0.5, 0.5, 0.5]])
    assert shared_credit(scores).tolist() == [0.5, 0.25, 0.0, 1.0]


def test_a_collapsed_model_scores_chance() -> None:
    rng = np.random.default_rng(3)
    one = unit(rng, 1, 64)
    # Noise of the size that another batch shape makes must not decide.
    images, texts = (one + rng.normal(0, 5e-9, (n, 64)).astype(np.float32) for n in (10, 40))
    rows = {str(i): i for i in range(40)}
    questions = [
        Question(f"accuracy:{k}", str(k % 10), tuple(map(str, rng.choice(40, 4, replace=False))), "c", "test")
        for k in range(50)
    ]
    assert {a.correct for a in answer_questions(questions, images, rows, texts, rows)} == {0.25}


def test_parts_are_a_quarter_and_fixed_by_the_concept() -> None:
    parts = Counter(part_of(f"concept {i}") for i in range(4000))
    assert 0.22 < parts["dev"] / 4000 < 0.28
    assert metric_of(item_key("image-to-text R@5", "x")) == "image-to-text R@5"
