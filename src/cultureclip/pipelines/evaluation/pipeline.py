"""Wiring of the evaluation stage."""

from collections.abc import Mapping, Sequence

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.evaluation.entries import POCKET, dataset_of, read_benchmarks
from cultureclip.pipelines.evaluation.nodes import (
    check_leaks,
    collect_benchmarks,
    compare_models,
    draw_pocket_benchmarks,
    evaluate_models,
    export_results,
    measure_name_bias,
    render_report,
    score_models,
    tabulate_scores,
)
from cultureclip.pipelines.train.instances import make_instances, read_instances

_TABLES = ("concepts", "twins", "captions", "image_requests", "judgements", "cultwin", "images")
_METRICS = ("mining", "captioning", "synthesis", "filtering", "training")
_SCORES = ("scores", "group_scores", "confusions", "abilities", "abilities_chart")
ANSWERS = ("benchmark_cards", "predictions", "score_table", "results", *_SCORES)
"""What :func:`answer` leaves."""


def create_pipeline(
    objectives: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    benchmarks: Sequence[str] | None = None,
) -> Pipeline:
    """Benchmarks, concepts, training data and every checkpoint -> predictions, scores, report.

    Args:
        objectives: Losses of the trainings; by default what the config says.
        seeds: Their seeds; by default what the config says.
        benchmarks: Names of what is asked; by default what the config says.
    """
    instances = make_instances(objectives, seeds) if objectives and seeds else read_instances()
    listed = benchmarks or read_benchmarks()
    names = list(map(str, instances))
    checkpoints = {name: f"checkpoint_{name}" for name in names}
    logs = {name: f"training_log_{name}" for name in names}
    shown = {table: table for table in _TABLES} | {stage: f"{stage}_metrics" for stage in _METRICS}
    shown |= {"manifest": "run_manifest", **logs}
    nodes = [
        *ask(listed),
        Node(
            check_leaks,
            inputs=["benchmarks", "cultwin", "images", "general_pairs", "params:evaluation"],
            outputs=["checked_benchmarks", "leak_check"],
            name="check_leaks",
        ),
        *answer("checked_benchmarks", checkpoints),
        Node(
            measure_name_bias,
            inputs=["predictions", "checked_benchmarks", "cultwin", "params:evaluation"],
            outputs="name_bias",
            name="measure_name_bias",
        ),
        Node(
            render_report,
            inputs={
                "scores": "scores",
                "predictions": "predictions",
                "group_scores": "group_scores",
                "confusions": "confusions",
                "abilities": "abilities",
                "name_bias": "name_bias",
                "benchmarks": "checked_benchmarks",
                "cards": "benchmark_cards",
                "leak_check": "leak_check",
                "parameters": "params:evaluation",
                **shown,
            },
            outputs="report",
            name="render_report",
        ),
    ]
    return Pipeline(
        nodes,
        namespace="evaluation",
        inputs={*shown.values(), *checkpoints.values(), *files_of(listed), "general_pairs"},
        outputs={"leak_check", "name_bias", "report", *ANSWERS},
        parameters={"params:evaluation"},
    )


def ask(listed: Sequence[str]) -> list[Node]:
    """Nodes that draw the pocket benchmarks, where one is listed, and take in all that are."""
    pocket = {name: dataset_of(name) for name in listed if name in POCKET}
    tables = ["concepts", "twins", "params:evaluation"]
    drawn = [Node(draw_pocket_benchmarks, tables, pocket, name="draw_pocket_benchmarks")] if pocket else []
    collected = Node(
        collect_benchmarks,
        inputs={"parameters": "params:evaluation", **{name: dataset_of(name) for name in listed}},
        outputs=["benchmarks", "collected_cards"],
        name="collect_benchmarks",
    )
    return [*drawn, collected]


def answer(benchmarks: str, checkpoints: Mapping[str, str]) -> list[Node]:
    """Nodes that ask every model, and count.

    Args:
        benchmarks: Dataset of what is asked.
        checkpoints: Name of each model that was tuned here -> its dataset.
    """
    return [
        Node(
            evaluate_models,
            inputs={
                "benchmarks": benchmarks,
                "cards": "collected_cards",
                "parameters": "params:evaluation",
                **checkpoints,
            },
            outputs=["predictions", "benchmark_cards"],
            name="evaluate_models",
        ),
        Node(
            score_models,
            inputs=["predictions", "benchmark_cards", "params:evaluation"],
            outputs=["scores", "group_scores"],
            name="score_models",
        ),
        Node(
            compare_models,
            inputs=["predictions", "params:evaluation"],
            outputs=["confusions", "abilities", "abilities_chart"],
            name="compare_models",
        ),
        Node(
            tabulate_scores,
            inputs=["scores", "abilities", "benchmark_cards", "params:evaluation"],
            outputs="score_table",
            name="tabulate_scores",
        ),
        Node(
            export_results,
            inputs=["scores", "group_scores", "predictions", "benchmark_cards", "run_manifest", "params:evaluation"],
            outputs="results",
            name="export_results",
        ),
    ]


def files_of(listed: Sequence[str]) -> list[str]:
    """Datasets of the listed benchmarks that lie in files."""
    return [dataset_of(name) for name in listed if name not in POCKET]
