"""How far a model's answers are from a population's: KL divergence and Jensen-Shannon distance, as CLCA measures them.

The published code (arXiv 2504.02953) applies a log-softmax to probabilities, so that two equal distributions are not 0
apart, and counts answers that could not be read as an option of their own. Here KL is that of the population from the
model, with smoothed counts; the distance is the square root of the divergence, natural logarithm; and what was not read
is counted apart.
"""

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr

from cultureclip.audit.measures.intervals import jackknife, transform
from cultureclip.statistics import ClusteredItems, Estimate

MOST = float(np.sqrt(np.log(2)))
"""Largest Jensen-Shannon distance: of distributions that share no option."""
_FLOOR_DRAWS = 200


def count_options(answers: np.ndarray, size: int) -> np.ndarray:
    """Count the answers 1 to ``size``, float [size]."""
    return np.bincount(np.asarray(answers, int) - 1, minlength=size).astype(float)


def kl_divergence(population: np.ndarray, counts: np.ndarray, smoothing: float) -> float:
    """Return KL(population || model) in nats.

    Args:
        population: Shares of the options, that sum to 1, [K].
        counts: How often the model gave each, [K].
        smoothing: Added to each count, above 0: an option that the model never gave is not impossible.
    """
    model = (counts + smoothing) / (counts + smoothing).sum()
    return float(rel_entr(population, model).sum())


def js_distance(population: np.ndarray, counts: np.ndarray) -> float:
    """Return the Jensen-Shannon distance of a model's answers, 0 to 0.833 (the root of ln 2).

    Args:
        population: Shares of the options, [K].
        counts: How often the model gave each, at least one answer in all, [K].
    """
    found = float(jensenshannon(population, counts / counts.sum()))
    return 0.0 if np.isnan(found) else found  # NaN: the root of a rounding error below 0


def expected_floor(population: np.ndarray, answers: int, seed: int) -> float:
    """Return the mean distance of so many answers that are drawn from the population itself.

    A few answers never fit a distribution exactly, so no model can be expected to come closer than this.

    Args:
        population: Shares of the options, [K].
        answers: Number of answers, at least 1.
        seed: Seed of the draws.
    """
    shares = population / population.sum()
    drawn = np.random.default_rng(seed).multinomial(answers, shares, size=_FLOOR_DRAWS)
    return float(np.mean([js_distance(shares, counts) for counts in drawn]))


def estimate_distance(distances: np.ndarray, questions: np.ndarray) -> Estimate:
    """Return the mean Jensen-Shannon distance with its interval over questions.

    Args:
        distances: Of each question (and country, stratum), [N].
        questions: The question of each, [N].
    """
    found = ClusteredItems(questions).estimate_mean(np.asarray(distances) / MOST)
    return Estimate(found.value * MOST, found.low * MOST, found.high * MOST)


def estimate_divergence(divergences: np.ndarray, questions: np.ndarray) -> Estimate | None:
    """Return the mean KL divergence with its interval over questions: the jackknife's on a logarithmic scale.

    Divergences are skewed and above 0, so an interval around their mean would be too low.

    Args:
        divergences: Of each question (and country, stratum), [N].
        questions: The question of each, [N].

    Returns:
        None for a single question, or where no question makes a difference.
    """
    values, (names, index) = np.asarray(divergences, float), np.unique(questions, return_inverse=True)
    sums, sizes = np.bincount(index, values), np.bincount(index).astype(float)
    if len(names) < 2 or not values.any():
        return None
    without = (sums.sum() - sums) / (sizes.sum() - sizes)
    if not without.all():
        return None
    found = jackknife(float(np.log(values.mean())), np.log(without))
    return None if found is None else transform(found, np.exp)
