"""Answer questions with options: cosine, argmax, and the credit of a tie."""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from cultureclip.benchmarks.asking.questions import MOST_OPTIONS, NO_PICTURE, ChatQuestion
from cultureclip.benchmarks.protocols.benchmark import Benchmark, Declaration, Embeddings
from cultureclip.benchmarks.protocols.items import (
    METRICS,
    Prediction,
    Question,
    QuestionSet,
    Unposed,
    metric_of,
    round_cosines,
)
from cultureclip.benchmarks.rows import Intake
from cultureclip.ids import digest, seed_from_id


def shared_credit(scores: np.ndarray) -> np.ndarray:
    """Return the credit of the first option, which is the right one.

    The credit is 1 if the option is strictly best, 1/t if it is one of t options that tie for best, else 0. A model
    whose embeddings have collapsed to one point thus scores chance, not 100 %.

    Args:
        scores: [questions, options].

    Returns:
        [questions], in [0, 1].
    """
    tied = scores == scores.max(axis=1, keepdims=True)
    credit: np.ndarray = tied[:, 0] / tied.sum(axis=1)
    return credit


def first_shown(options: Sequence[str], tied: Sequence[int], seed: str) -> int:
    """Return the tied option that is shown first when all options are shuffled.

    Texts are sorted before the shuffle, so that questions with the same texts and seed show them in one order.

    Args:
        options: Texts, all different.
        tied: Positions of the options that tie for best.
        seed: Id that seeds the shuffle.
    """
    shown = sorted(options)
    random.Random(seed_from_id(seed)).shuffle(shown)
    return min(tied, key=lambda position: shown.index(options[position]))


def answer_questions(
    questions: Sequence[Question],
    images: np.ndarray,
    image_rows: Mapping[str, int],
    texts: np.ndarray,
    text_rows: Mapping[str, int],
) -> list[Prediction]:
    """Return predictions from embeddings.

    Args:
        questions: The questions.
        images: L2-normalised embeddings, [images, D].
        image_rows: Key of a picture -> its row.
        texts: L2-normalised embeddings, [texts, D].
        text_rows: Text -> its row.

    Returns:
        One prediction per question, in the same order.

    Raises:
        WeightsError: if a cosine is not finite.
    """
    answered: dict[int, Prediction] = {}
    by_size: dict[int, list[int]] = defaultdict(list)
    for place, question in enumerate(questions):
        by_size[len(question.options)].append(place)
    for places in by_size.values():
        shown = images[[image_rows[questions[p].image] for p in places]]
        options = np.array([[text_rows[text] for text in questions[p].options] for p in places])
        # Work per column: a gathered [questions, options, D] would not fit for fifty options and 3,000 questions.
        cosines = np.stack([np.einsum("qd,qd->q", shown, texts[column]) for column in options.T], axis=1)
        scores = round_cosines(cosines)
        for p, row, credit in zip(places, scores, shared_credit(scores), strict=True):
            answered[p] = _answer(questions[p], row, float(credit))
    return [answered[place] for place in range(len(questions))]


@dataclass(frozen=True)
class ChoiceBenchmark(Benchmark):
    """Questions with options."""

    questions: Sequence[Question] = ()

    @property
    def texts(self) -> list[str]:
        """Every option, once."""
        return list(dict.fromkeys(option for question in self.questions for option in question.options))

    @property
    def size(self) -> int:
        """Number of questions; a question in two variants counts once."""
        return sum(metric_of(question.item_id) != METRICS["fair"] for question in self.questions)

    @property
    def concepts(self) -> set[str]:
        """Concepts shown."""
        return {question.concept or question.cluster for question in self.questions}

    @property
    def data_hash(self) -> str:
        """Digest of pictures, options, parts and groups."""
        asked = [(q.item_id, q.image, q.options, q.part, q.culture, q.category) for q in self.questions]
        return digest(self.name, sorted(asked))

    @property
    def chances(self) -> dict[str, float]:
        """One over the number of options, averaged over a metric's questions."""
        shares: dict[str, list[float]] = {}
        for question in self.questions:
            shares.setdefault(metric_of(question.item_id), []).append(1 / len(question.options))
        return {metric: sum(values) / len(values) for metric, values in shares.items()}

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """Names in the options of every question that has them."""
        return {question.item_id: question.names for question in self.questions if question.names}

    def answer(self, embeddings: Embeddings) -> list[Prediction]:
        """Return the cosine and argmax over each question's options."""
        return answer_questions(
            self.questions, embeddings.images, embeddings.image_rows, embeddings.texts, embeddings.text_rows
        )

    def chat_questions(self) -> Iterator[ChatQuestion]:
        """Yield the questions with lettered options, with the picture and without; the fair variant is the same."""
        for question in self.questions:
            metric, _, item = question.item_id.partition(":")
            if metric != METRICS["fair"] and len(question.options) <= MOST_OPTIONS:
                yield _ask_chat(question, question.item_id, question.image)
                yield _ask_chat(question, f"{metric}{NO_PICTURE}:{item}", "")

    def without(self, failed: Mapping[str, str]) -> Self:
        """Return the benchmark without the questions about these pictures."""
        return self._less("questions", lambda question: [question.image], failed)


def build_choices(
    declaration: Declaration, intake: Intake, asked: QuestionSet, left_out: Sequence[Unposed]
) -> ChoiceBenchmark:
    """Return a benchmark of questions with the pictures that they show.

    Args:
        declaration: The benchmark's description of itself.
        intake: Its rows and pictures.
        asked: The questions.
        left_out: Items left out so far.
    """
    pictures = intake.pictures.only({question.image for question in asked.questions})
    unposed = (*left_out, *asked.unposed)
    return ChoiceBenchmark(declaration, pictures, asked.questions, unposed=unposed, changed=asked.changed)


def _ask_chat(question: Question, item_id: str, image: str) -> ChatQuestion:
    return ChatQuestion(
        item_id=item_id,
        kind="choice",
        image=image,
        asked=question.asked,
        options=question.choices or question.options,
        cluster=question.cluster,
        part=question.part,
        culture=question.culture,
        category=question.category,
    )


def _answer(question: Question, scores: np.ndarray, credit: float) -> Prediction:
    predicted = int(scores.argmax())
    if question.shuffled_by:
        tied = np.flatnonzero(scores == scores[predicted]).tolist()
        predicted = first_shown(question.options, tied, question.shuffled_by)
        credit = float(predicted == 0)
    return Prediction(
        item_id=question.item_id,
        cluster=question.cluster,
        part=question.part,
        options=question.options,
        scores=tuple(map(float, scores)),
        predicted=predicted,
        correct=credit,
        image=question.image,
        culture=question.culture,
        category=question.category,
    )
