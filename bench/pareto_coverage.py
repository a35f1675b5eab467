"""How well the probability of being Pareto-optimal finds a front that is known.

    python bench/pareto_coverage.py [--draws 1000]

A base, three scales of one update, which lie on the front, and two models that the first and the second scale beat at
both answer n culture and n general questions. Concepts have a rate of their own, correlated over the models, as in
``coverage.py``; with ``shared`` both abilities are asked about the same concepts. Measured: how often the models that
are optimal by their values are exactly those that truly are; the mean probability of the truly optimal and of the
beaten models; how often a truly optimal model has 5 % or more (budget: 93 % or more with 300 questions), and all of
them at once; how often a beaten model has 95 % or more. A share of 1,000 draws is known to about +-1.4 points. Prints a
table and, as its last line, one JSON object.
"""

import argparse
import json

import numpy as np
from coverage import clusters_of, draw_two

from cultureclip.scoring.pareto import Ability, find_front, front_probabilities

CONCEPTS = {30: 12, 300: 100}
"""Questions, about -> concepts: one to five questions each."""
CASES = {
    "in the middle": ((0.45, 0.52, 0.58, 0.63, 0.47, 0.53), (0.60, 0.58, 0.56, 0.52, 0.54, 0.50)),
    "culture near 0, general near 1": (
        (0.02, 0.04, 0.06, 0.08, 0.025, 0.045),
        (0.98, 0.97, 0.96, 0.94, 0.95, 0.93),
    ),
}
"""True rates of the models at culture and at general ability; the last two are beaten."""
RESAMPLES, SURE, UNSURE = 1000, 0.95, 0.05


def draw(rates: tuple[float, ...], clusters: np.ndarray, name: str, rng: np.random.Generator) -> Ability:
    """Answers of all models to one ability's questions."""
    credit = np.stack(list(draw_two(rates, clusters, rng)), axis=1)
    return Ability(np.char.add(name, clusters.astype(str)), np.ones(len(clusters)), credit)


def measure(size: int, case: str, shared: bool, draws: int) -> np.ndarray:
    """Return the figures of one row."""
    clusters, rates = clusters_of(CONCEPTS[size]), CASES[case]
    truth = find_front(*(np.array([of]) for of in rates))[0]
    rng = np.random.default_rng((size, list(CASES).index(case), shared))
    found = np.zeros(6)
    for _ in range(draws):
        culture = draw(rates[0], clusters, "c", rng)
        general = draw(rates[1], clusters, "c" if shared else "g", rng)
        by_value = find_front(*(ability.credit.mean(0, keepdims=True) for ability in (culture, general)))[0]
        sure = front_probabilities(culture, general, int(rng.integers(2**31)), RESAMPLES)
        found += (
            (by_value == truth).all(),
            sure[truth].mean(),
            sure[~truth].mean(),
            (sure[truth] >= UNSURE).mean(),
            (sure[truth] >= UNSURE).all(),
            (sure[~truth] >= SURE).any(),
        )
    return found / draws


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000)
    draws = parser.parse_args().draws
    rows = {}
    print("   n  concepts  by value  optimal  beaten  optimal >= 5 %  all of them  a beaten >= 95 %")
    for case in CASES:
        for size in CONCEPTS:
            for shared in (False, True):
                row = rows[f"{size} {case}{', shared' if shared else ''}"] = measure(size, case, shared, draws)
                figures = "{:9.3f} {:8.3f} {:7.3f} {:15.3f} {:12.3f} {:17.3f}".format(*row)
                print(f"{size:4}  {'shared' if shared else 'own':8} {figures}  {case}", flush=True)
    least = {size: min(float(r[3]) for n, r in rows.items() if n.startswith(f"{size} ")) for size in CONCEPTS}
    most = max(float(row[5]) for row in rows.values())
    print(json.dumps({"draws": draws, "budget": 0.93, "least_optimal": least, "most_beaten": most}))


if __name__ == "__main__":
    main()
