"""CUNIT's triplets, RAVENEA's rankings and RegionScore, CultureVerse's questions: examples worked out by hand."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from cultureclip.benchmarks.protocols.benchmark import Declaration, Embeddings
from cultureclip.benchmarks.protocols.culture_questions import Described, ask_culture_questions
from cultureclip.benchmarks.protocols.cunit import (
    CunitBenchmark,
    CunitConcept,
    ask_cunit,
    jaccard,
    read_annotations,
)
from cultureclip.benchmarks.protocols.items import Shown, metric_of
from cultureclip.benchmarks.protocols.ravenea import (
    Document,
    RaveneaBenchmark,
    RaveneaItem,
    ask_ravenea,
    expected_reciprocal_rank,
    ndcg,
    precision,
)
from cultureclip.captions.region_score import score_regions
from cultureclip.errors import SourceDataError
from tests.benchmarks.conftest import unit

DECLARATION = Declaration(name="b", title="B", question="?", source="somewhere", licence="none", holds_out="images")


class TestTriplets:
    veil = CunitConcept(
        concept="bridal veil", culture="US", category="Clothing", features=frozenset({"bride", "wedding", "purity"})
    )
    honggaitou = CunitConcept(
        concept="honggaitou", culture="CN", category="Clothing", features=frozenset({"bride", "wedding", "luck"})
    )
    hanbok = CunitConcept(
        concept="hanbok", culture="KR", category="Clothing", features=frozenset({"festival", "wedding"})
    )

    def test_the_closer_concept_shares_more_of_the_features_of_either(self) -> None:
        assert jaccard(self.veil.features, self.honggaitou.features) == 2 / 4
        assert jaccard(self.veil.features, self.hanbok.features) == 1 / 4
        assert jaccard(self.honggaitou.features, self.hanbok.features) == 1 / 4
        assert jaccard(frozenset(), frozenset()) == 0
        asked = ask_cunit([self.veil, self.honggaitou, self.hanbok])
        assert {(q.image, q.options) for q in asked.questions} == {
            ("bridal veil", ("honggaitou", "hanbok")),
            ("honggaitou", ("bridal veil", "hanbok")),
        }
        # To the hanbok both others are equally close.
        (tie,) = asked.unposed
        assert tie.item.startswith("hanbok: ")
        assert tie.reason == "both are equally close"

    def test_the_text_tower_answers(self) -> None:
        asked = ask_cunit([self.veil, self.honggaitou, self.hanbok])
        benchmark = CunitBenchmark(DECLARATION, {}, asked.questions)
        assert sorted(benchmark.texts) == ["bridal veil", "hanbok", "honggaitou"]
        angles = np.radians([0, 40, 60])  # veil, honggaitou, hanbok: the honggaitou lies nearer to the hanbok
        rows = {"bridal veil": 0, "honggaitou": 1, "hanbok": 2}
        texts = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        answers = benchmark.answer(Embeddings(np.zeros((0, 0)), texts, {}, rows))
        assert {(a.cluster, a.correct, a.image) for a in answers} == {("bridal veil", 1, ""), ("honggaitou", 0, "")}

    def test_candidates_are_of_other_cultures_and_the_same_category(self) -> None:
        rng = np.random.default_rng(0)
        concepts = [
            CunitConcept(
                concept=f"c{i}",
                culture=f"R{i % 6}",
                category=f"kind {i % 2}",
                features=frozenset(f"f{f}" for f in np.flatnonzero(rng.random(9) < 0.4)),
            )
            for i in range(60)
        ]
        by_name = {c.concept: c for c in concepts}
        asked = ask_cunit(concepts)
        assert len(asked.questions) > 150
        for question in asked.questions:
            anchor, right, wrong = (by_name[text] for text in (question.image, *question.options))
            assert jaccard(anchor.features, right.features) > jaccard(anchor.features, wrong.features)
            assert anchor.category == right.category == wrong.category == question.category
            assert anchor.culture not in (right.culture, wrong.culture)
        assert {q.item_id for q in asked.questions} == {q.item_id for q in ask_cunit(concepts[::-1]).questions}
        assert any(u.reason == "both are equally close" for u in asked.unposed)

    def test_what_cannot_be_asked_is_listed(self) -> None:
        bare = CunitConcept(concept="bare", culture="KR", category="Clothing", features=frozenset())
        asked = ask_cunit([self.veil, self.honggaitou, bare, self.veil])
        assert asked.questions == ()
        assert sorted(u.reason for u in asked.unposed) == [
            "fewer than two concepts of its category and other cultures",
            "fewer than two concepts of its category and other cultures",
            "its name was annotated before",
            "no feature is annotated",
        ]

    def test_annotations_are_read(self, tmp_path: Path) -> None:
        path = tmp_path / "features.csv"
        path.write_text(
            "concept,culture,category,bride,luck\nveil,US,Clothing,1,\n\n fan ,CN,Clothing,no,TRUE\n", "utf-8"
        )
        assert read_annotations(path) == {
            2: CunitConcept(concept="veil", culture="US", category="Clothing", features=frozenset({"bride"})),
            4: CunitConcept(concept="fan", culture="CN", category="Clothing", features=frozenset({"luck"})),
        }

    @pytest.mark.parametrize(
        ("text", "match"),
        [
            (
                "concept,culture,category,f\na,US,X,maybe\nb,US,X,2\n",
                "2 cells are not boolean: line 2, f: 'maybe'; line 3",
            ),
            ("concept,culture,f\na,US,1\n", "no column category"),
            ("concept,culture,category\na,US,X\n", "no column of a feature"),
            ("concept,culture,category,f\n\na,US,X,maybe\n", "line 3, f: 'maybe'"),
            ("concept,culture,category,f\na,US,X,1,\nb,US,X,1\n", r"features\.csv: .*\n  line 2: 5 cells"),
            ("", "it is empty"),
            (None, "cannot be read"),
        ],
    )
    def test_bad_annotations_are_refused(self, tmp_path: Path, text: str | None, match: str) -> None:
        path = tmp_path / "features.csv"
        if text is not None:
            path.write_text(text, "utf-8")
        with pytest.raises(SourceDataError, match=match):
            read_annotations(path)


def graded(*grades: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores that rank the documents as they are given, and their grades."""
    return -np.arange(len(grades), dtype=float), np.array(grades)


class TestRankings:
    def test_ndcg_agrees_with_scikit_learn_but_is_never_above_one(self) -> None:
        rng = np.random.default_rng(0)
        for _ in range(300):
            grades = np.array([*rng.integers(-3, 4, rng.integers(1, 12)), rng.integers(-2, 4)])
            for scores in (rng.integers(-3, 4, len(grades)) / 8, rng.normal(size=len(grades)), grades / 8):
                for k in (1, 3, 5):
                    expected = ndcg_score([2.0 ** (grades + 3) - 1], [scores], k=k)
                    assert ndcg(scores, grades, k) == pytest.approx(expected, abs=1e-12)
                    assert ndcg(scores, grades, k) <= 1
        grades = np.array([0, 0, 1, 0, 3, -2])
        assert ndcg_score([2.0 ** (grades + 3) - 1], [grades / 8], k=5) > 1
        assert ndcg(grades / 8, grades, 5) == 1

    def test_ndcg_by_hand(self) -> None:
        # Gains 2^(grade + 3) - 1: 15, 63, 0; discounts 1, 1/log2(3), 1/2.
        scores, grades = graded(1, 3, -3)
        assert ndcg(scores, grades, 1) == pytest.approx(15 / 63)
        assert ndcg(scores, grades, 3) == pytest.approx((15 + 63 / np.log2(3)) / (63 + 15 / np.log2(3)))
        assert ndcg(*graded(3, 1, -3), 3) == 1

    @given(st.lists(st.integers(-3, 3), min_size=2, max_size=40), st.integers(0, 3), st.integers(1, 40))
    def test_a_perfect_ranking_scores_one_and_not_a_hair_more(self, grades: list[int], best: int, k: int) -> None:
        assert ndcg(*graded(*sorted([best, *grades], reverse=True)), k) == 1

    def test_precision_by_hand(self) -> None:
        # Relevant are the documents of the highest grade, where it is positive.
        scores, grades = graded(2, -1, 2, 1, 0, 2)
        assert [precision(scores, grades, k) for k in (1, 3, 5)] == pytest.approx([1, 2 / 3, 2 / 5])
        assert precision(*graded(0, 0, -1), 1) == 0
        assert precision(*graded(1, 0), 5) == 1 / 5

    def test_expected_reciprocal_rank_by_hand(self) -> None:
        # Stops with probability 3/8 at a 2, never at -1, 7/8 at a 3.
        expected = 3 / 8 + (5 / 8) * 0 + (5 / 8) * (7 / 8) / 3
        assert expected_reciprocal_rank(*graded(2, -1, 3)) == pytest.approx(expected)
        assert expected_reciprocal_rank(*graded(-3, 0)) == 0

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 2)), min_size=2, max_size=5), st.integers(1, 5))
    def test_with_ties_each_figure_is_the_mean_over_all_orders(self, documents: list[tuple[int, int]], k: int) -> None:
        grades, scores = (np.array(column) for column in zip(*documents, strict=True))
        if grades.max() == -3:
            return
        orders = [sorted(order, key=lambda i: -scores[i]) for order in permutations(range(len(grades)))]
        for figure in (ndcg, precision, expected_reciprocal_rank):
            untied = [figure(*graded(*grades[order]), k) for order in orders]
            assert figure(scores.astype(float), grades, k) == pytest.approx(np.mean(untied))

    def test_the_benchmark_ranks_by_cosine(self) -> None:
        rng = np.random.default_rng(0)
        items = tuple(
            RaveneaItem(
                image=f"i{i}",
                documents=tuple(Document(f"d{i}{d}", f"text {i} {d}", int(rng.integers(-3, 4))) for d in range(10)),
                culture="Japan",
            )
            for i in range(4)
        )
        benchmark = RaveneaBenchmark(DECLARATION, {}, items)
        images, texts = unit(rng, 4, 8), unit(rng, 40, 8)
        rows = {text: i for i, text in enumerate(benchmark.texts)}
        answers = benchmark.answer(Embeddings(images, texts, {f"i{i}": i for i in range(4)}, rows))
        assert len(answers) == 4 * 7
        for i, item in enumerate(items):
            order = np.argsort(-(texts[10 * i : 10 * i + 10] @ images[i]))
            grades = [item.documents[d].grade for d in order]
            own = {metric_of(a.item_id): a for a in answers if a.image == item.image}
            assert own["nDCG@5"].options == tuple(item.documents[d].document_id for d in order[:5])
            assert own["nDCG@3"].correct == pytest.approx(ndcg(*graded(*grades), 3))
            assert own["ERR@5"].correct == pytest.approx(expected_reciprocal_rank(*graded(*grades)))
        assert benchmark.without({"i2": "gone"}).size == 3

    def test_what_cannot_be_ranked_is_listed(self) -> None:
        def item(image: str, *grades: float) -> RaveneaItem:
            return RaveneaItem(
                image=image, documents=tuple(Document(f"{i}", f"{i}", grade) for i, grade in enumerate(grades))
            )  # type: ignore[arg-type]

        kept, unposed = ask_ravenea(
            [item("a", 1, 0), item("a", 1, 0), item("b", 1), item("c", 4, 0), item("d", -3, -3), item("e", 0.5, 1)]
        )
        assert [k.image for k in kept] == ["a"]
        assert [u.reason for u in unposed] == [
            "the same picture was asked about before",
            "fewer than two documents",
            "a grade is not an integer from -3 to 3",
            "every document has the lowest grade",
            "a grade is not an integer from -3 to 3",
        ]


def test_region_score_by_hand() -> None:
    score = score_regions(
        [
            ("A Japanese garden with a red bridge.", ("JP",)),
            ("A garden in Japan.", ("JP",)),
            ("A temple in Indiana.", ("IN",)),
            ("A dish from Kenya.", ("NG",)),
            ("A woman in a sari.", ("IN", "BD")),
        ]
    )
    assert (score.captions, score.value) == (5, 2 / 5)
    assert score.by_region == {"Bangladesh": (1, 0), "India": (2, 0), "Japan": (2, 1), "Nigeria": (1, 0)}
    assert score_regions([]).value is None


class TestCultureQuestions:
    def items(self) -> list[Described]:
        regions = [("Japan",), ("Korea",), ("Mexico",), ("Peru",), ("Kenya",), ("Japan", "China")]
        return [
            Described(
                Shown(
                    concept_id=f"c{i}",
                    name=f"robe {i}",
                    universal="robe",
                    regions=where,
                    image=f"image {i}",
                    category="Clothing",
                ),
                f"It is worn at feast {i}.",
                (f"sleeve {i}", "belt"),
            )
            for i, where in enumerate(regions)
        ]

    def test_each_concept_is_recognised_known_and_placed(self) -> None:
        asked = ask_culture_questions(self.items())
        assert len(asked.questions) == 18
        own = {metric_of(q.item_id): q for q in asked.questions if q.cluster == "c0"}
        assert own["recognition"].options[0] == "This is robe 0."
        assert own["knowledge"].options[0] == "It is worn at feast 0."
        assert own["scene"].options[0] == "A scene in Japan with sleeve 0, belt."
        for metric, form in {"recognition": "This is robe {}.", "knowledge": "It is worn at feast {}."}.items():
            # The sixth robe is at home in Japan too: nothing said of it need be false of the first.
            assert set(own[metric].options[1:]) < {form.format(i) for i in range(1, 5)}
            assert len(set(own[metric].options)) == 4
        assert (own["scene"].culture, own["scene"].category) == ("Japan", "Clothing")

    def test_what_cannot_be_asked_is_listed(self) -> None:
        items = self.items()[:4]
        items[0] = Described(items[0].shown, "", ())
        asked = ask_culture_questions(items)
        assert {(u.item, u.reason) for u in asked.unposed} == {
            ("knowledge: robe 0", "the concept lacks what is asked about"),
            ("scene: robe 0", "the concept lacks what is asked about"),
            *((f"{m}: robe {i}", "fewer than 3 wrong statements") for m in ("knowledge", "scene") for i in (1, 2, 3)),
        }
        assert {metric_of(q.item_id) for q in asked.questions} == {"recognition"}
