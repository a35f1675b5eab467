"""Yes or no by a score: the best threshold, and the chance that a yes scores above a no (AUC)."""

import numpy as np


def fit_threshold(scores: np.ndarray, shown: np.ndarray) -> float:
    """Return the threshold of best balanced accuracy, midway between two scores; the lowest of equally good ones.

    Args:
        scores: [pictures].
        shown: Whether each shows the concept asked about; both occur.
    """
    levels = np.unique(scores)
    candidates = np.concatenate([[levels[0] - 1], (levels[1:] + levels[:-1]) / 2, [levels[-1] + 1]])
    yes, no = np.sort(scores[shown]), np.sort(scores[~shown])
    hits = 1 - np.searchsorted(yes, candidates, side="right") / len(yes)
    rejections = np.searchsorted(no, candidates, side="left") / len(no)
    return float(candidates[np.argmax(np.round(hits + rejections, 12))])


def placements(scores: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Return each picture's share of the other answer's pictures that it is on the right side of; ties count half.

    Args:
        scores: [pictures].
        shown: Whether each shows the concept asked about; both occur.
    """
    other = [np.sort(scores[~shown]), np.sort(scores[shown])]
    credits = np.empty(len(scores))
    for yes in (True, False):
        own, rivals = scores[shown == yes], other[0] if yes else other[1]
        below = (np.searchsorted(rivals, own, "left") + np.searchsorted(rivals, own, "right")) / 2 / len(rivals)
        credits[shown == yes] = below if yes else 1 - below
    return credits
