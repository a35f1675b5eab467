"""Precision and recall of answers about titles, with intervals over groups, and the threshold with the best F1."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Figure:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


def best_threshold(scores: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Return the threshold t for which ``score >= t`` has the highest F1, and that F1; among equals the highest t."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    right = np.cumsum(truth[order])
    f1 = 2 * right / (np.arange(1, len(scores) + 1) + truth.sum())
    last_of_equals = np.append(ranked[1:] != ranked[:-1], True)
    best = int(np.argmax(np.where(last_of_equals, f1, -1.0)))
    return float(ranked[best]), float(f1[best])


def measure_answers(
    answers: np.ndarray, truth: np.ndarray, groups: np.ndarray, resamples: int
) -> dict[str, Figure | int]:
    """Return precision, recall and F1 with percentile bootstrap intervals; groups are resampled, not titles.

    Where nothing was found, or nothing is true, the ratio is counted as 0.
    """
    _, group = np.unique(groups, return_inverse=True)
    counts = np.stack(
        [np.bincount(group, weights=w) for w in (answers & truth, answers & ~truth, ~answers & truth)]
    )  # true positives, false positives, false negatives of each group, [3, G]
    share = np.full(counts.shape[1], 1 / counts.shape[1])
    weights = np.random.default_rng(0).multinomial(counts.shape[1], share, size=resamples)
    here, drawn = _ratios(counts.sum(axis=1)), _ratios(counts @ weights.T)
    lows, highs = np.quantile(drawn, [0.025, 0.975], axis=1)
    named = {
        name: Figure(float(v), float(low), float(high))
        for name, v, low, high in zip(("precision", "recall", "f1"), here, lows, highs, strict=True)
    }
    return {**named, "titles": len(truth), "true": int(truth.sum()), "found": int(answers.sum())}


def _ratios(counts: np.ndarray) -> np.ndarray:
    """Return precision, recall, F1, [3, ...], of true positives, false positives and false negatives, [3, ...]."""
    hit, false, missed = counts
    return np.stack(
        [
            hit / np.maximum(hit + false, 1),
            hit / np.maximum(hit + missed, 1),
            2 * hit / np.maximum(2 * hit + false + missed, 1),
        ]
    )


def measure_parts(table: pd.DataFrame, answers: np.ndarray, resamples: int) -> dict[str, Any]:
    """Return the figures of :func:`measure_answers` on the test part: of all titles, and of each subset."""
    truth, groups = table["truth"].to_numpy(), table["group"].to_numpy()
    return {
        name: {
            key: asdict(value) if isinstance(value, Figure) else value
            for key, value in measure_answers(answers[rows], truth[rows], groups[rows], resamples).items()
        }
        for name, rows in _parts(table)
    }


def measure_categories(table: pd.DataFrame, category: np.ndarray, resamples: int) -> dict[str, Any]:
    """Return the share of the test part's concepts whose category is right, of all of them and of each subset."""
    right = category == table["true_category"].to_numpy()
    known, groups = table["true_category"].notna().to_numpy(), table["group"].to_numpy()
    accuracy = {}
    for name, part in _parts(table):
        rows = part & known
        if rows.any():
            recall = measure_answers(right[rows], np.ones(rows.sum(), bool), groups[rows], resamples)["recall"]
            accuracy[name] = {**asdict(recall), "titles": int(rows.sum())}  # type: ignore[arg-type]
    return accuracy


def _parts(table: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the titles of the test part: all, and by subset."""
    test = (table["part"] == "test").to_numpy()
    yield "all", test
    for subset in sorted(set(table["subset"]) - {""}):
        yield str(subset), test & (table["subset"] == subset).to_numpy()
