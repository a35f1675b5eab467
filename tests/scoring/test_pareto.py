"""The probability of being Pareto-optimal: a naive bootstrap, and fronts that are known."""

import numpy as np
import pytest

from cultureclip.scoring import pareto
from cultureclip.scoring.pareto import Ability, find_front, front_probabilities


def draw(rates: list[float], clusters: np.ndarray, rng: np.random.Generator) -> Ability:
    """Answers with these true rates; models agree where the same luck suffices, as paired answers do."""
    luck = rng.random((len(clusters), 1))
    return Ability(clusters, rng.uniform(0.5, 1, len(clusters)), (luck < np.array(rates)).astype(float))


def test_the_front_is_what_nothing_beats_at_both() -> None:
    first, second = np.array([[3.0, 2, 1, 2, 3]]), np.array([[1.0, 2, 3, 1, 1]])
    assert find_front(first, second).tolist() == [[True, True, True, False, True]]


def test_the_share_is_that_of_a_loop_over_the_same_resamples() -> None:
    rng = np.random.default_rng(0)
    culture = draw([0.4, 0.5, 0.6], rng.choice(["a", "b", "c", "d", "shared"], 40), rng)
    general = draw([0.6, 0.5, 0.55], rng.choice(["x", "y", "z", "shared"], 30), rng)
    names = sorted({*culture.clusters, *general.clusters})
    strata = np.array([1 * (n in culture.clusters) + 2 * (n in general.clusters) for n in names])
    stream = np.random.default_rng(5)
    drawn = pareto._draw(strata, 300, stream)
    scores = []
    for ability in (culture, general):
        concepts = sorted(set(ability.clusters))
        per_concept = ability.weights.sum() / len(concepts)
        value = (ability.weights[:, None] * ability.credit).sum(0) / ability.weights.sum()
        right = stream.random((300, 3)) < (value.mean() * len(concepts) + 0.5) / (len(concepts) + 1)
        means = []
        for counts, answers in zip(drawn, right, strict=True):
            times = dict(zip(names, counts, strict=True))
            weights = ability.weights * np.array([times[c] for c in ability.clusters])
            total = (weights[:, None] * ability.credit).sum(0) + per_concept * answers
            means.append(total / (weights.sum() + per_concept))
        stretch = np.sqrt(len(concepts) / stream.chisquare(len(concepts) - 1, (300, 1)))
        scores.append(np.round(value + (np.array(means) - np.mean(means, axis=0)) * stretch, 10))
    optimal = np.zeros(3)
    for points in np.stack(scores, axis=2).tolist():
        for model, (x, y) in enumerate(points):
            optimal[model] += not any(a >= x and b >= y and [a, b] != [x, y] for a, b in points)
    np.testing.assert_allclose(front_probabilities(culture, general, 5, 300), optimal / 300)


def test_few_concepts_do_not_rule_a_model_out() -> None:
    """The second model is a plain bootstrap's equal only where no concept is drawn that it alone gets wrong."""
    clusters = np.arange(7).astype(str)
    culture = Ability(clusters, np.ones(7), np.zeros((7, 2)))
    general = Ability(clusters, np.ones(7), np.stack([np.ones(7), np.arange(7) > 2], axis=1).astype(float))
    plain = (4 / 7) ** 7
    assert plain < 0.02
    assert front_probabilities(culture, general, 0)[1] > 0.05


def test_each_ability_keeps_its_number_of_concepts_in_every_resample() -> None:
    strata = np.array([1, 1, 1, 2, 2, 3, 3, 3, 3])
    drawn = pareto._draw(strata, 50, np.random.default_rng(0))
    for stratum in (1, 2, 3):
        assert set(drawn[:, strata == stratum].sum(axis=1)) == {(strata == stratum).sum()}


@pytest.mark.parametrize("shared", [True, False])
def test_a_known_front_is_found_where_there_are_many_questions(shared: bool) -> None:
    rng = np.random.default_rng(1)
    clusters = np.repeat(np.arange(1500), 2).astype(str)
    others = clusters if shared else np.char.add("g", clusters)
    # base and three others: the third is beaten by the second, the fourth by the base
    culture = draw([0.3, 0.45, 0.4, 0.25], clusters, rng)
    general = draw([0.7, 0.65, 0.6, 0.65], others, rng)
    found = front_probabilities(culture, general, 0)
    assert found[:2].min() > 0.99
    assert found[2:].max() < 0.01


def test_two_models_that_answer_alike_are_optimal_together() -> None:
    rng = np.random.default_rng(2)
    clusters = np.arange(60).astype(str)
    culture, general = draw([0.5, 0.5], clusters, rng), draw([0.6, 0.6], clusters, rng)
    assert front_probabilities(culture, general, 0).tolist() == [1.0, 1.0]
