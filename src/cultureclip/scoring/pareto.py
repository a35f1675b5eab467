"""How sure it is that a model is Pareto-optimal: that no other is at least as good at both abilities and better at one.

It is the share of resamples of concepts in which this holds (cluster bootstrap). A resample draws a concept for all
models and both abilities at once, so that paired differences keep their sign where they are sure. Concepts that count
for one ability only are drawn apart from those that count for both, so that each ability has as many concepts as were
asked about.

A plain bootstrap is too sure where concepts are few, or where nearly all models are right or wrong. So each resample of
C concepts has one more, imagined one, which every model gets right with the mean rate of all (models that gave the same
answers get the same), and its deviations are scaled by sqrt(C / chi-squared with C - 1 degrees of freedom), which gives
them the tails of Student's t. ``bench/pareto_coverage.py`` measures what that does.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
_DIGITS = 12
"""Scores are rounded to these, so that models that answer alike are equal whatever the order of a sum."""


@dataclass(frozen=True)
class Ability:
    """Answers that count for one ability.

    Attributes:
        clusters: The cluster of each item, [items].
        weights: Weight of each item, [items].
        credit: [items, models].
    """

    clusters: np.ndarray
    weights: np.ndarray
    credit: np.ndarray


def front_probabilities(first: Ability, second: Ability, seed: int, resamples: int = RESAMPLES) -> np.ndarray:
    """Return the share of resamples in which each model is Pareto-optimal, [models].

    Args:
        first: One ability.
        second: The other, of the same models.
        seed: Seed of the resamples.
        resamples: Number of resamples.
    """
    names, index = np.unique(np.concatenate([first.clusters, second.clusters]).astype(str), return_inverse=True)
    places = np.split(index, [len(first.clusters)])
    pattern = sum(
        bit * np.isin(np.arange(len(names)), place).astype(int) for bit, place in zip((1, 2), places, strict=True)
    )
    rng = np.random.default_rng(seed)
    drawn = _draw(np.asarray(pattern), resamples, rng)
    alike = np.unique(np.concatenate([first.credit, second.credit]), axis=1, return_inverse=True)[1].reshape(-1)
    one, other = (
        _scores(ability, place, drawn, alike, rng) for ability, place in zip((first, second), places, strict=True)
    )
    shares: np.ndarray = find_front(one, other).mean(axis=0)
    return shares


def find_front(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Tell which models nothing beats at both, bool [resamples, models].

    Args:
        first: Scores at one ability, [resamples, models].
        second: Scores at the other.
    """
    columns = []
    for model in range(first.shape[1]):
        own, other = first[:, [model]], second[:, [model]]
        beaten = (first >= own) & (second >= other) & ((first > own) | (second > other))
        columns.append(~beaten.any(axis=1))
    return np.stack(columns, axis=1)


def _draw(strata: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Draw how often each cluster is in each resample, as many of each stratum as it has: [resamples, clusters]."""
    drawn = np.zeros((resamples, len(strata)))
    for stratum in np.unique(strata):
        own = np.flatnonzero(strata == stratum)
        drawn[:, own] = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), size=resamples)
    return drawn


def _scores(
    ability: Ability, index: np.ndarray, drawn: np.ndarray, alike: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return a score of every resample and model; models of one number in ``alike`` imagine the same."""
    count, concepts = drawn.shape[1], len(np.unique(index))
    weights = np.bincount(index, ability.weights, minlength=count)
    sums = np.stack(list(_sums(ability, index, count)), axis=1)
    values, usual = sums.sum(0) / weights.sum(), weights.sum() / concepts
    chance = (values.mean() * concepts + 0.5) / (concepts + 1)
    imagined = (rng.random((len(drawn), alike.max() + 1)) < chance)[:, alike]
    means = (drawn @ sums + usual * imagined) / (drawn @ weights + usual)[:, None]
    spread = np.sqrt(concepts / rng.chisquare(max(concepts - 1, 1), (len(drawn), 1)))
    return np.asarray(np.round(values + (means - means.mean(0)) * spread, _DIGITS))


def _sums(ability: Ability, index: np.ndarray, count: int) -> Iterator[np.ndarray]:
    for column in ability.credit.T:
        yield np.bincount(index, ability.weights * column, minlength=count)
