"""How often the gate calls a checkpoint worse that loses just the margin, and whether its power is what it says.

    python bench/gate_coverage.py [--draws 1000]

Pairs of models are drawn as in ``coverage.py``: n questions about concepts with a rate of their own, correlated over
the two models. Budget: at a true difference of the margin, at most 6.5 % are called worse and at most 6.5 % not worse
(a share of 1,000 is known to about +-1.4 points, the level is 5 %). With 300 questions and a true difference of
``power_at``, the mean power that the gate prints is the share that it calls worse, to 12 points; with 30 questions the
spread is known too badly for that. Prints a table and one JSON object.
"""

import argparse
import json

import numpy as np
import pandas as pd
from coverage import clusters_of, draw_two

from cultureclip.scoring.answers import Answers
from cultureclip.scoring.gate import GateSettings, compare
from cultureclip.scoring.models import ModelName
from cultureclip.scoring.scores import ScoredModel

CONCEPTS = {30: 12, 300: 100}
"""Questions, about -> concepts: one to five questions each."""
CASES = ((0.05, -0.02), (0.5, -0.02), (0.97, -0.02), (0.5, -0.1), (0.97, -0.1))
"""Rate of the base, and margin."""
NAMES = {"base": ModelName("base"), "tuned": ModelName("tuned")}


def measure(concepts: int, base: float, margin: float, draws: int) -> tuple[float, float, float, float]:
    """Shares called worse and not worse at the margin; at power_at the share called worse, and the power printed."""
    clusters = clusters_of(concepts)
    items = pd.DataFrame({"cluster": clusters.astype(str)})
    model = ScoredModel(NAMES["tuned"], (NAMES["tuned"],), (), ())
    power_at = max(margin - 0.1, 0.01 - base)
    settings = GateSettings(min_delta=margin, power_at=power_at)
    rng = np.random.default_rng((concepts, int(1000 * base), int(-1000 * margin)))
    counts, powers = np.zeros(3), []
    for _ in range(draws):
        for delta in (margin, power_at):
            before, after = draw_two((base, base + delta), clusters, rng)
            asked = Answers("b", "accuracy", "test", items, pd.DataFrame({"base": before, "tuned": after}))
            row = compare(asked, model, settings, 1)
            if delta == margin:
                counts[:2] += (row["p_worse"] <= settings.level, row["p_not_worse"] <= settings.level)
            else:
                counts[2] += row["p_worse"] <= settings.level
                powers.append(row["power"])
    return *(counts / draws), float(np.nanmean(powers))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000)
    draws = parser.parse_args().draws
    worst: float = 0.0
    gaps: list[float] = []
    print("  n  base  margin  called worse  called not worse  worse at power_at  power printed")
    for size, concepts in CONCEPTS.items():
        for base, margin in CASES:
            if base + margin <= 0:
                continue
            worse, not_worse, caught, power = measure(concepts, base, margin, draws)
            print(f"{size:3} {base:5.2f} {margin:7.2f} {worse:13.3f} {not_worse:17.3f} {caught:18.3f} {power:14.3f}")
            worst = max(worst, worse, not_worse)
            gaps += [abs(power - caught)] * (size == 300)
    print(json.dumps({"draws": draws, "budget": [0.065, 0.12], "most_false": worst, "largest_power_gap": max(gaps)}))


if __name__ == "__main__":
    main()
