"""Recall at k over any number of images and texts, in blocks, so that memory does not grow with texts x images."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import hypergeom

from cultureclip.benchmarks.protocols.items import COSINE_DECIMALS

BLOCK = 1 << 21
"""Cosines per block; a block has as many whole queries as fit, and at least one."""
_UNITS = 10**COSINE_DECIMALS


@dataclass(frozen=True)
class Ranking:
    """Ranks of the relevant candidates of Q queries; cosines are compared in units of the last decimal kept.

    Attributes:
        above: Candidates strictly above the best relevant one, int64 [Q].
        tied: Candidates at its cosine, itself included, int64 [Q].
        tied_relevant: Relevant candidates among the tied ones, int64 [Q].
        best: The first candidates; equal cosines keep the candidates' order, int64 [Q, K].
        cosines: Cosines of the first candidates, float64 [Q, K].
    """

    above: np.ndarray
    tied: np.ndarray
    tied_relevant: np.ndarray
    best: np.ndarray
    cosines: np.ndarray

    def credit(self, k: int) -> np.ndarray:
        """Return the chance that at least one relevant candidate is among the first k, with ties in random order.

        With g candidates above the best relevant one and t at its cosine, of which r are relevant, m = k - g places are
        dealt among the t: credit = 1 - C(t - r, m) / C(t, m), which is 1 or 0 without ties.

        Returns:
            [Q], in [0, 1].
        """
        places = np.clip(k - self.above, 0, self.tied)
        credit: np.ndarray = hypergeom.sf(0, self.tied, self.tied_relevant, places)
        return credit


def rank(queries: np.ndarray, candidates: np.ndarray, relevant: np.ndarray, first: int, block: int = BLOCK) -> Ranking:
    """Rank all candidates for every query.

    Args:
        queries: L2-normalised, [Q, D].
        candidates: L2-normalised, [C, D].
        relevant: Pairs (query, candidate), int64 [P, 2]; every query has at least one.
        first: Number of best candidates to return, at most C.
        block: Cosines in memory at once.
    """
    relevant = relevant[np.argsort(relevant[:, 0], kind="stable")]
    rows = max(1, block // len(candidates))
    borders = np.searchsorted(relevant[:, 0], np.arange(0, len(queries) + rows, rows))
    parts = []
    for number, start in enumerate(range(0, len(queries), rows)):
        scores = _in_units(queries[start : start + rows] @ candidates.T)
        pairs = relevant[borders[number] : borders[number + 1]] - (start, 0)
        parts.append(_rank_block(scores, pairs, min(first, len(candidates))))
    return Ranking(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _in_units(cosines: np.ndarray) -> np.ndarray:
    """Return cosines as whole numbers of the last decimal that counts, so that two are equal or differ."""
    scaled = cosines.astype(np.float64)
    scaled *= _UNITS
    return np.rint(scaled, out=scaled).astype(np.int64)


def _rank_block(scores: np.ndarray, pairs: np.ndarray, first: int) -> tuple[np.ndarray, ...]:
    """Return the columns of :class:`Ranking` from scores [q, C] and pairs of a row and a candidate."""
    row, candidate = pairs.T
    found = scores[row, candidate]
    target = np.full(len(scores), np.iinfo(scores.dtype).min)
    np.maximum.at(target, row, found)
    tied_relevant = np.bincount(row[found == target[row]], minlength=len(scores))
    above = np.count_nonzero(scores > target[:, None], axis=1)
    tied = np.count_nonzero(scores == target[:, None], axis=1)
    best = _find_first(scores, first)
    return above, tied, tied_relevant, best, np.take_along_axis(scores, best, axis=1) / _UNITS


def _find_first(scores: np.ndarray, first: int) -> np.ndarray:
    """Return the best candidates of each row; the position is part of the score, so that none are equal."""
    import torch  # the import takes seconds, and a report needs only this protocol's metrics

    count = scores.shape[1]
    distinct = scores * count
    distinct -= np.arange(count)
    return torch.from_numpy(distinct).topk(first).indices.numpy()
