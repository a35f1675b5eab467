"""The three culture protocols against item-by-item readings of their rules."""

import random
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from cultureclip.benchmarks.protocols.benchmark import Declaration
from cultureclip.benchmarks.protocols.choice import ChoiceBenchmark, answer_questions, shared_credit
from cultureclip.benchmarks.protocols.crope import ConceptPictures, ask_crope
from cultureclip.benchmarks.protocols.globalrg_grounding import ask_grounding
from cultureclip.benchmarks.protocols.globalrg_retrieval import ask_retrieval
from cultureclip.benchmarks.protocols.items import (
    METRICS,
    Question,
    Shown,
    Unposed,
    ask_both,
    draw_distractors,
    item_key,
    metric_of,
    part_of,
)
from cultureclip.errors import WeightsError
from cultureclip.ids import seed_from_id
from tests.benchmarks.conftest import unit


def random_items(seed: int, count: int = 60) -> list[Shown]:
    rng = np.random.default_rng(seed)
    items = []
    for i in range(count):
        regions = tuple(sorted({f"R{r}" for r in rng.integers(0, 12, rng.integers(1, 4))}))
        alike = frozenset(f"c{j}" for j in rng.integers(0, count, 2) if j != i)
        items.append(
            Shown(
                concept_id=f"c{i}",
                name=f"thing {i}",
                universal=f"kind {rng.integers(0, 8)}",
                regions=regions,
                image=f"image {i}",
                alike=alike,
            )
        )
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
            assert question.options == tuple(f"The item in the picture is {n} in {region}" for n in question.names)
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


@pytest.mark.parametrize("seed", range(3))
def test_the_fair_variant_offers_every_wrong_option(seed: int) -> None:
    items = random_items(seed)
    by_id = {item.concept_id: item for item in items}
    grounding = ask_grounding(items, "fair")
    for question in grounding.questions:
        region, item = question.culture, by_id[question.cluster]
        wrong = {o.name for o in items if region in o.regions and o.concept_id not in {item.concept_id, *item.alike}}
        form = "The item in the picture is {} in {}"
        assert question.options[0] == form.format(item.name, region)
        assert sorted(question.options[1:]) == sorted(form.format(name, region) for name in wrong)
    retrieval = ask_retrieval(items, "fair")
    for question in retrieval.questions:
        item = by_id[question.cluster]
        right = {*item.regions} | {r for other in item.alike for r in by_id[other].regions}
        wrong = {r for o in items if o.universal == item.universal for r in o.regions} - right
        form = "The picture depicts a kind of {} in {}"
        assert question.options[0] == form.format(item.universal, question.culture)
        assert sorted(question.options[1:]) == sorted(form.format(item.universal, region) for region in wrong)
    for ask, fair in ((ask_grounding, grounding), (ask_retrieval, retrieval)):
        published, both = ask(items), ask_both(ask, items)
        assert len(fair.questions) == len(published.questions) > 10
        assert {metric_of(q.item_id) for q in fair.questions} == {"accuracy_all"}
        assert both.questions == (*published.questions, *fair.questions)
        assert both.unposed == published.unposed == fair.unposed


def published_rows(rng: np.random.Generator, rows: int = 300) -> list[tuple[str, str, str]]:
    """(image, region, concept) as the owners lay them out: several pictures of a concept."""
    return [(f"image {i}", f"R{rng.integers(9)}", f"thing {rng.integers(25)}") for i in range(rows)]


def naive_accuracy(options: tuple[str, ...], image: np.ndarray, text_of: dict, order: str) -> float:
    """Right or wrong as the released code has it: shuffle, argmax, a tie to the first shown."""
    shown = sorted(options)
    random.Random(seed_from_id(order)).shuffle(shown)
    cosines = [round(float(image @ text_of[text]), 6) for text in shown]
    return float(shown[cosines.index(max(cosines))] == options[0])


@pytest.mark.parametrize("seed", range(3))
def test_published_rows_are_asked_and_answered_as_by_a_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = published_rows(rng)
    by_region: dict[str, set[str]] = {}
    for _, region, concept in rows:
        by_region.setdefault(region, set()).add(concept)
    asked = ask_both(
        ask_grounding,
        [
            Shown(concept_id=concept, name=concept, universal="", regions=(r,), image=image)
            for image, r, concept in rows
        ],
    )
    questions = {(metric_of(q.item_id), q.image): q for q in asked.questions}
    assert len(questions) == len(asked.questions)

    texts = sorted({text for q in asked.questions for text in q.options})
    images = [image for image, _, _ in rows]
    # Few distinct vectors, so that many options tie.
    vectors = unit(rng, 6, 8)
    image_vectors, text_vectors = vectors[rng.integers(0, 6, len(images))], vectors[rng.integers(0, 6, len(texts))]
    image_rows, text_rows = ({key: i for i, key in enumerate(keys)} for keys in (images, texts))
    answers = answer_questions(asked.questions, image_vectors, image_rows, text_vectors, text_rows)
    answered = {answer.item_id: answer for answer in answers}
    text_of = {text: text_vectors[i] for text, i in text_rows.items()}
    tied = 0
    for row, (image, region, concept) in enumerate(rows):
        if len(by_region[region]) < 4:
            assert ("accuracy", image) not in questions
            continue
        published, fair = questions["accuracy", image], questions["accuracy_all", image]
        form = "The item in the picture is {} in {}"
        everything = {form.format(other, region) for other in by_region[region]}
        assert published.options[0] == fair.options[0] == form.format(concept, region)
        assert len(published.options) == 4 == len({*published.options} & everything)
        assert {*fair.options} == everything
        assert (published.part, published.culture) == ("test", region)
        own = answered[published.item_id]
        assert own.correct == naive_accuracy(published.options, image_vectors[row], text_of, published.item_id)
        assert (own.predicted == 0) == (own.correct == 1)
        cosines = [round(float(image_vectors[row] @ text_of[text]), 6) for text in fair.options]
        best = [i for i, cosine in enumerate(cosines) if cosine == max(cosines)]
        assert answered[fair.item_id].correct == ((1 / len(best)) if 0 in best else 0)
        tied += len(best) > 1
    assert tied > 20


def test_pictures_of_one_concept_have_draws_of_their_own() -> None:
    items = [
        Shown(concept_id=f"c{c}", name=f"thing {c}", universal="", regions=("R",), image=f"image {c} {i}")
        for c in range(12)
        for i in range(3)
    ]
    draws = [q.options[1:] for q in ask_grounding(items).questions if q.cluster == "c0"]
    assert len(draws) == len(set(draws)) == 3


def test_what_cannot_be_asked_is_listed() -> None:
    items = [
        Shown(concept_id=f"c{c}", name=f"thing {c}", universal="kind", regions=(f"R{c % 5}", "R"), image=f"image {c}")
        for c in range(8)
    ]
    bad = [
        items[0],
        Shown(concept_id="n", name="", universal="kind", regions=("R",), image="image n"),
        Shown(concept_id="r", name="homeless", universal="kind", regions=(), image="image r"),
        Shown(concept_id="u", name="thing u", universal="", regions=("R",), image="image u"),
    ]
    grounding, retrieval = ask_grounding(items + bad), ask_retrieval(items + bad)
    assert Counter(u.reason for u in grounding.unposed) == {
        "the same picture and concept were asked about before": 1,
        "region has fewer than four concepts": 9,
        "names no concept": 1,
        "names no region": 1,
    }
    assert Counter(u.reason for u in retrieval.unposed) == {
        "the same picture and region were asked about before": 2,
        "names no universal": 1,
        "names no region": 1,
    }
    for ask, published in ((ask_grounding, grounding), (ask_retrieval, retrieval)):
        assert ask_both(ask, items + bad).unposed == ask(items + bad, "fair").unposed == published.unposed
    crope = ask_crope(
        [
            (
                ConceptPictures(concept_id="1", name="", images=("a",)),
                ConceptPictures(concept_id="2", name="x", images=("b",)),
            )
        ]
    )
    assert [u.reason for u in crope.unposed] == ["a concept has no name"] * 2
    crope = ask_crope(
        [
            (
                ConceptPictures(concept_id="1", name="y", images=()),
                ConceptPictures(concept_id="2", name="x", images=("b", "b")),
            )
        ]
    )
    assert [u.reason for u in crope.unposed] == ["the same picture and concepts were asked about before"]
    assert len(crope.questions) == 1


def test_concepts_of_one_name_are_offered_once() -> None:
    names = ["one", "two", "three", "four", "four", "five"]
    items = [
        Shown(concept_id=f"c{i}", name=name, universal="", regions=("R",), image=f"image {i}")
        for i, name in enumerate(names)
    ]
    for variant in METRICS:
        for question in ask_grounding(items, variant).questions:
            assert len(set(question.options)) == len(question.options) == (5 if variant == "fair" else 4)


def test_as_published_a_collapsed_model_of_crope_is_right_about_one_side_of_each_row() -> None:
    rows = [
        (
            ConceptPictures(concept_id=f"a{i}", name=f"a {i}", images=(f"a{i}",)),
            ConceptPictures(concept_id=f"b{i}", name=f"b {i}", images=(f"b{i}",)),
        )
        for i in range(40)
    ]
    asked = ask_both(ask_crope, rows)
    keys = {image: i for i, image in enumerate({q.image for q in asked.questions})}
    texts = {text: i for i, text in enumerate({t for q in asked.questions for t in q.options})}
    ones = np.ones((80, 1))
    credit = {a.item_id: a.correct for a in answer_questions(asked.questions, ones, keys, ones, texts)}
    by_image = {(metric_of(q.item_id), q.image): credit[q.item_id] for q in asked.questions}
    for i in range(40):
        assert {by_image["accuracy", f"a{i}"], by_image["accuracy", f"b{i}"]} == {0.0, 1.0}
        assert by_image["accuracy_all", f"a{i}"] == by_image["accuracy_all", f"b{i}"] == 0.5
    assert 5 < sum(by_image["accuracy", f"a{i}"] for i in range(40)) < 35


def test_cosines_that_are_not_finite_are_refused() -> None:
    rows = {"a": 0, "b": 1}
    vectors = np.array([[1.0, 0.0], [np.nan, 0.0]])
    with pytest.raises(WeightsError, match=r"2 of 2 cosines are not finite"):
        answer_questions(
            [Question(item_id="accuracy:1", image="b", options=("a", "b"), cluster="c", part="test")],
            vectors,
            rows,
            vectors,
            rows,
        )


def test_the_chance_of_every_metric_is_its_own() -> None:
    questions = ask_both(ask_grounding, random_items(2)).questions
    benchmark = ChoiceBenchmark(
        Declaration(name="any", title="Any", question="?", source="somewhere", licence="none", holds_out="images"),
        {},
        questions,
    )
    fair = [1 / len(q.options) for q in questions if metric_of(q.item_id) == "accuracy_all"]
    assert benchmark.card()["chances"] == pytest.approx({"accuracy": 0.25, "accuracy_all": np.mean(fair)})
    assert np.mean(fair) < 0.2


def test_a_picture_that_cannot_be_read_is_not_asked_about() -> None:
    questions = tuple(
        Question(item_id=f"accuracy:{i}", image=f"image {i}", options=("a", "b"), cluster="c", part="test")
        for i in range(3)
    )
    declaration = Declaration(
        name="any", title="Any", question="?", source="somewhere", licence="none", holds_out="images"
    )
    before = ChoiceBenchmark(declaration, {}, questions, unposed=(Unposed("x", "why"),))
    after = before.without({"image 1": "truncated", "image 9": "not asked about"})
    assert after.questions == (questions[0], questions[2])
    assert after.unposed == (Unposed("x", "why"), Unposed("image 1: truncated", "picture cannot be read"))
    assert after.card()["left_out"] == {"picture cannot be read": 1, "why": 1}


def test_crope_asks_about_every_picture_of_both_sides() -> None:
    taco = ConceptPictures(concept_id="1", name="taco", images=("t",))
    gyro = ConceptPictures(concept_id="2", name="gyro", images=("g1", "g2"))
    asked = ask_crope([(taco, gyro), (taco, ConceptPictures(concept_id="3", name="taco", images=("x",)))])
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
        "from cultureclip.benchmarks.protocols.items import draw_distractors as d;"
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
        questions.append(
            Question(item_id=f"accuracy:{k}", image=str(rng.integers(20)), options=options, cluster="c", part="test")
        )
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
        Question(
            item_id=f"accuracy:{k}",
            image=str(k % 10),
            options=tuple(map(str, rng.choice(40, 4, replace=False))),
            cluster="c",
            part="test",
        )
        for k in range(50)
    ]
    assert {a.correct for a in answer_questions(questions, images, rows, texts, rows)} == {0.25}


def test_parts_are_a_quarter_and_fixed_by_the_concept() -> None:
    parts = Counter(part_of(f"concept {i}") for i in range(4000))
    assert 0.22 < parts["dev"] / 4000 < 0.28
    assert metric_of(item_key("image-to-text R@5", "x")) == "image-to-text R@5"
