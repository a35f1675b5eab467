"""Price of defect 10: accuracy of the same models when wrong options are drawn in the order of a set.

Evaluates a finished run again under several values of ``PYTHONHASHSEED`` with ``evaluation.as_released: [10]``;
embeddings are kept, so only the questions change. Prints per benchmark and objective the mean of its trainings,
its spread over hash seeds, and what the draw by the item's id gives; one JSON object at the end: ``spread`` is the
largest standard deviation over hash seeds, ``range`` the largest difference between two.

    python bench/hash_seeds.py [--project .] [--seeds 10]
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
from machine import describe_machine

RUN = """
import json, sys
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
bootstrap_project(sys.argv[1])
given = {"evaluation": {"as_released": json.loads(sys.argv[2])}}
with KedroSession.create(sys.argv[1], runtime_params=given) as session:
    session.run(pipeline_names=["evaluation"])
"""
METRIC = "accuracy"
BENCHMARKS = ("globalrg-grounding", "globalrg-retrieval")


def evaluate(project: Path, hash_seed: int, as_released: list[int]) -> pd.Series:
    """Accuracy per (benchmark, objective), the mean over trainings, on test questions."""
    command = [sys.executable, "-c", RUN, str(project), json.dumps(as_released)]
    environment = os.environ | {"PYTHONHASHSEED": str(hash_seed)}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    newest = max((project / "data/08_reporting/scores.parquet").glob("*/scores.parquet"))
    scores = pd.read_parquet(newest)
    rows = scores[
        (scores["metric"] == METRIC)
        & (scores["part"] == "test")
        & scores["benchmark"].isin(BENCHMARKS)
        & scores["seed"].isna()
        & (scores["scale"] == 1)
    ]
    return rows.drop_duplicates(["benchmark", "objective"]).set_index(["benchmark", "objective"])["value"]


def main() -> None:
    """Run, and print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    project = options.project.resolve()
    print(describe_machine())
    drawn = pd.DataFrame({seed: evaluate(project, seed, [10]) for seed in range(1, options.seeds + 1)})
    published = evaluate(project, 0, [])
    table = pd.DataFrame(
        {
            "by the item's id": published,
            "mean over hash seeds": drawn.mean(axis=1),
            "sd": drawn.std(axis=1),
            "lowest": drawn.min(axis=1),
            "highest": drawn.max(axis=1),
        }
    )
    print((100 * table).round(1).to_string())
    spread, reach = float(table["sd"].max()), float((table["highest"] - table["lowest"]).max())
    print(json.dumps({"spread": spread, "range": reach, "hash_seeds": options.seeds}))


if __name__ == "__main__":
    main()
