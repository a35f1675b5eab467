"""Score one right answer among many: top-k with ties, and the options that a prediction shows."""

import numpy as np

SHOWN = 5
"""Options in a prediction if there are too many to keep."""


def top_k_credit(scores: np.ndarray, right: np.ndarray, k: int) -> np.ndarray:
    """Return the chance that the right answer is among the first k when answers of equal score come in random order.

    With g answers above the right one and t at its score, itself included, the chance is clip((k - g) / t, 0, 1): 1 or
    0 without ties.

    Args:
        scores: Comparable scores, [queries, answers].
        right: Column of the right answer, [queries].
        k: Cut-off.

    Returns:
        Credit in [0, 1], [queries].
    """
    own = np.take_along_axis(scores, right[:, None], axis=1)
    above, level = (scores > own).sum(axis=1), (scores == own).sum(axis=1)
    credit: np.ndarray = np.clip((k - above) / level, 0, 1)
    return credit


def shown_options(scores: np.ndarray, right: int) -> list[int]:
    """Return the columns of the right answer and of the best wrong ones, the right one first.

    Args:
        scores: Scores of one query, [answers]; minus infinity for an answer that is not offered.
        right: Column of the right answer.
    """
    # A full sort of a thousand classes per query would cost more than the cosines.
    best = np.argpartition(-scores, min(SHOWN, len(scores) - 1))[: SHOWN + 1]
    wrong = sorted(
        (column for column in best.tolist() if column != right and scores[column] > -np.inf),
        key=lambda column: (-scores[column], column),
    )
    return [right, *wrong[: SHOWN - 1]]
