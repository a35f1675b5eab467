"""Answering questions with options: cosine, argmax, ties at shared credit."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from cultureclip.benchmarks.items import Prediction, Question, round_cosines


def shared_credit(scores: np.ndarray) -> np.ndarray:
    """Credit of the first option, which is the right one.

    1 where it is strictly best, 1/t where t options tie for best and it is one of them, else 0. A model whose
    embeddings have collapsed to one point thus scores chance, not 100 %.

    Args:
        scores: [questions, options].

    Returns:
        [questions], in [0, 1].
    """
    tied = scores == scores.max(axis=1, keepdims=True)
    return tied[:, 0] / tied.sum(axis=1)


def answer_questions(
    questions: Sequence[Question],
    images: np.ndarray,
    image_rows: Mapping[str, int],
    texts: np.ndarray,
    text_rows: Mapping[str, int],
) -> list[Prediction]:
    """Predictions from embeddings.

    Args:
        questions: What is asked.
        images: L2-normalised embeddings, [images, D].
        image_rows: Key of a picture -> its row.
        texts: L2-normalised embeddings, [texts, D].
        text_rows: Text -> its row.

    Returns:
        One prediction a question, in the same order.
    """
    answered: dict[str, Prediction] = {}
    by_size: dict[int, list[Question]] = defaultdict(list)
    for question in questions:
        by_size[len(question.options)].append(question)
    for group in by_size.values():
        shown = images[[image_rows[q.image] for q in group]]
        options = texts[np.array([[text_rows[text] for text in q.options] for q in group])]
        scores = round_cosines(np.einsum("qd,qod->qo", shown, options))
        for q, row, credit in zip(group, scores, shared_credit(scores), strict=True):
            answered[q.item_id] = Prediction(
                q.item_id, q.cluster, q.part, q.options, tuple(map(float, row)), int(row.argmax()), float(credit)
            )
    return [answered[q.item_id] for q in questions]
