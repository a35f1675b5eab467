"""Scores as JSON that users of CLIP_benchmark can read, one file per benchmark and model, with the predictions beside.

``clip_benchmark build <folder>`` makes a CSV of the files. They have the keys that its own files have (``dataset``,
``model``, ``pretrained``, ``task``, ``metrics``, ``language``) and ours: intervals, n, differences, hash of the data.
"""

import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cultureclip.benchmarks.protocols.registry import all_protocols
from cultureclip.ids import digest
from cultureclip.scoring.groups import AXES, find_worst, macro_metric

PREDICTIONS_FILE = "predictions.parquet"
PART = "test"
"""The part that results are about: choices may have been made on the other."""

_DIFFERENCE = ("difference", "diff_low", "diff_high", "detectable", "p_value", "p_holm", "mcnemar_p", "mcnemar_n")


@dataclass(frozen=True)
class RunFacts:
    """Facts about the run that every result repeats.

    Attributes:
        run_id: Id of the run.
        base_model: Location of the base model, which what was tuned here was tuned from.
        locations: Those of models from elsewhere, by name.
        config: Parameters of the evaluation.
        versions: Versions of packages.
        commit: Commit of the code; None outside a repository.
    """

    run_id: str
    base_model: str
    locations: Mapping[str, str]
    config: Mapping[str, Any]
    versions: Mapping[str, str]
    commit: str | None


@dataclass(frozen=True)
class Results:
    """A folder of results, ready to be written."""

    documents: Mapping[str, Mapping[str, Any]]
    predictions: pd.DataFrame

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield every file as (name, content)."""
        for name, document in self.documents.items():
            yield name, (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
        buffer = io.BytesIO()
        self.predictions.to_parquet(buffer)
        yield PREDICTIONS_FILE, buffer.getvalue()


def make_results(
    scores: pd.DataFrame,
    group_scores: pd.DataFrame,
    predictions: pd.DataFrame,
    cards: Sequence[Mapping[str, Any]],
    facts: RunFacts,
) -> Results:
    """Return results of every model on the test part of every benchmark.

    Args:
        scores: The scores table.
        group_scores: The table of group scores.
        predictions: The predictions table.
        cards: Cards of the benchmarks.
        facts: About the run.
    """
    by_name = {card["name"]: card for card in cards}
    documents = {}
    for (benchmark, model), rows in scores[scores["part"] == PART].groupby(["benchmark", "model"]):
        of_groups = group_scores[
            (group_scores["benchmark"] == benchmark) & (group_scores["model"] == model) & (group_scores["part"] == PART)
        ]
        document = _describe(rows, of_groups, by_name[benchmark], facts)
        documents[_file_name(str(benchmark), str(model))] = document
    return Results(documents, predictions)


def _describe(rows: pd.DataFrame, groups: pd.DataFrame, card: Mapping[str, Any], facts: RunFacts) -> dict[str, Any]:
    first = {str(row["metric"]): row for row in reversed(rows.to_dict("records"))}
    exported = exported_names(card["task"])
    keys = {metric: exported.get(metric, metric) for metric in first}
    return {
        "dataset": card["name"],
        "model": rows["model"].iloc[0],
        "pretrained": facts.locations.get(rows["model"].iloc[0], facts.base_model),
        "task": card["task"],
        "metrics": {keys[metric]: row["value"] for metric, row in first.items()},
        "language": "en",
        "intervals": {keys[metric]: [row["ci_low"], row["ci_high"]] for metric, row in first.items()},
        "n": {keys[metric]: row["n"] for metric, row in first.items()},
        "clusters": {keys[metric]: row["clusters"] for metric, row in first.items()},
        "undecided": {keys[metric]: _given(row["undecided"]) for metric, row in first.items()},
        "seeds": [int(seed) for seed in rows["seeds"].iloc[0]],
        "seed_std": {keys[metric]: _given(row["seed_std"]) for metric, row in first.items()},
        "differences": [
            {"metric": keys[row["metric"]], "reference": row["reference"]}
            | {name: _given(row[name]) for name in _DIFFERENCE}
            for row in rows.dropna(subset=["reference"]).to_dict("records")
        ],
        "worst_groups": _worst(groups, keys),
        "part": PART,
        "data_hash": rows["data_hash"].iloc[0],
        "left_out": card.get("left_out", {}),
        "licence": card.get("licence"),
        "run_id": facts.run_id,
        "config": dict(facts.config),
        "versions": dict(facts.versions),
        "commit": facts.commit,
    }


def exported_names(task: str) -> dict[str, str]:
    """Return metric -> CLIP_benchmark's name, of the metrics of a kind of task that have one."""
    names: dict[str, str] = {}
    for protocol in all_protocols().values():
        if protocol.benchmark.task == task:
            names |= protocol.exported
            names |= {macro_metric(metric, "category"): name for metric, name in protocol.exported_mean.items()}
    return names


def _worst(groups: pd.DataFrame, keys: Mapping[str, str]) -> list[dict[str, Any]]:
    found = [(keys[str(metric)], find_worst(rows, axis)) for metric, rows in groups.groupby("metric") for axis in AXES]
    return [{"metric": key} | vars(worst) for key, worst in found if worst is not None]


def _given(cell: float) -> float | None:
    return None if pd.isna(cell) else float(cell)


def _file_name(benchmark: str, model: str) -> str:
    """``<benchmark>_<model>.json``; names with other characters than file names should have end in a digest."""
    name = f"{benchmark}_{model}"
    plain = re.sub(r"(?a)[^\w@.+-]", "-", name)
    return f"{plain}.json" if plain == name else f"{plain}-{digest(name)[:8]}.json"
