"""What hard negatives of culture-related instances add: the same training with and without them.

    nice -n 19 python bench/hard_negatives.py [--seeds 1 2 3] [--weights 1] [--work data/hard_negatives]

Takes the data of the last run, and what ``kedro run --pipelines=culture_instances`` selected, trains the proposed
objective with the run's settings and with each weight of the hard negatives, and asks the benchmark of the hard
negatives and the run's own held-out benchmarks. Prints each score, its difference to the training without them, and
the interval over clusters; credits are means over seeds. Trainings are kept. The last line is one JSON object.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from last_run import ROOT, LastRun
from machine import describe_machine

from cultureclip.audit.culture_instances import add_hard_negatives
from cultureclip.benchmarks.embedding.embeddings import embed_benchmarks
from cultureclip.benchmarks.embedding.settings import EmbeddingSettings
from cultureclip.benchmarks.pocket import collect_pocket
from cultureclip.benchmarks.protocols.items import metric_of
from cultureclip.statistics import ClusteredItems
from cultureclip.tables import NEGATIVE_COLUMNS

ASKED = ("globalrg-grounding", "globalrg-retrieval", "crope", "twin-scores", "general-retrieval")
Credits = dict[tuple[str, str], dict[str, tuple[float, str]]]
"""(Benchmark, metric) -> item -> its credit and cluster."""


class Demo(LastRun):
    """The last run, its questions and the rows with hard negatives."""

    def __init__(self, work: Path) -> None:
        super().__init__(work, ("culture_instances", "benchmark_culture-related"))
        made = collect_pocket(self.tables["concepts"], self.tables["twins"], self.evaluation.image_size, ASKED)
        self.asked = [*made, self.tables["benchmark_culture-related"]]
        self.hard = add_hard_negatives(self.tables["cultwin"], self.tables["culture_instances"])

    def model(self, weight: float, seed: int) -> Path:
        """Train, or find what was trained on these rows, and return the merged model's folder."""
        objective = self.settings.objective.model_copy(update={"hard_negative_weight": weight})
        settings = self.settings.model_copy(update={"objective": objective})
        return self.train(self.hard if weight else self.tables["cultwin"], settings, f"weight {weight}", seed)

    def answer(self, place: str | Path) -> Credits:
        """Answer every question."""
        found: Credits = defaultdict(dict)
        for benchmark in self.asked:
            embeddings = embed_benchmarks(place, [benchmark], self.work / "embeddings", EmbeddingSettings(batch=64))
            for one in benchmark.answer(embeddings):
                found[benchmark.name, metric_of(one.item_id)][one.item_id] = (float(one.correct), one.cluster)
        return found


def mean(credits: list[Credits]) -> Credits:
    """Return the mean credit of each item over seeds."""
    return {
        of: {
            item: (float(np.mean([one[of][item][0] for one in credits])), cluster)
            for item, (_, cluster) in items.items()
        }
        for of, items in credits[0].items()
    }


def compare(own: Mapping[str, tuple[float, str]], other: Mapping[str, tuple[float, str]]) -> dict[str, Any]:
    """Return a score and its difference to another, with the interval over clusters."""
    items = sorted(own)
    values, reference = (np.array([side[item][0] for item in items]) for side in (own, other))
    sample = ClusteredItems(np.array([own[item][1] for item in items]))
    found = sample.estimate_difference(values, reference)
    ends = {"difference": found.value, "low": found.low, "high": found.high}
    return {"score": float(sample.mean(values)), **ends, "n": len(items), "clusters": sample.count}


def main() -> None:
    """Train, ask, and print all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--weights", type=float, nargs="+", default=[1.0])
    parser.add_argument("--work", type=Path, default=ROOT / "data/hard_negatives")
    options = parser.parse_args()
    print(describe_machine())
    demo = Demo(options.work)
    train = demo.hard[demo.hard["split"] == "train"]
    print(
        "training rows with a hard negative:", train[list(NEGATIVE_COLUMNS)].notna().sum().to_dict(), "of", len(train)
    )
    credits = {"base": demo.answer(demo.evaluation.base_model)}
    for weight in (0.0, *options.weights):
        credits[f"weight {weight:g}"] = mean([demo.answer(demo.model(weight, seed)) for seed in options.seeds])
    rows = []
    for of, items in credits["weight 0"].items():
        for name, answered in credits.items():
            row = {"benchmark": of[0], "metric": of[1], "training": name, **compare(answered[of], items)}
            rows.append(row)
            ends = [100 * row[key] for key in ("score", "difference", "low", "high")]
            print(
                "| {} | {} | {} | {} |".format(*of, row["n"], name)
                + " {:.1f} | {:+.1f} ({:+.1f} to {:+.1f}) |".format(*ends)
            )
    print(json.dumps({"seeds": options.seeds, "rows": rows}))


if __name__ == "__main__":
    main()
