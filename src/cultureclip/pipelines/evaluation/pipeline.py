"""Wiring of the evaluation stage."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.evaluation.nodes import (
    check_leaks,
    collect_benchmarks,
    evaluate_models,
    render_report,
    score_models,
)
from cultureclip.pipelines.train.instances import make_instances, read_instances

_TABLES = ("concepts", "twins", "captions", "image_requests", "judgements", "cultwin", "images")
_METRICS = ("mining", "captioning", "synthesis", "filtering", "training")


def create_pipeline(objectives: Sequence[str] | None = None, seeds: Sequence[int] | None = None) -> Pipeline:
    """Concepts, training data and every checkpoint -> predictions, scores, report.

    Args:
        objectives: Losses of the trainings; by default what the config says.
        seeds: Their seeds; by default what the config says.
    """
    instances = make_instances(objectives, seeds) if objectives and seeds else read_instances()
    names = [instance.name for instance in instances]
    checkpoints = {name: f"checkpoint_{name}" for name in names}
    logs = {name: f"training_log_{name}" for name in names}
    shown = {table: table for table in _TABLES} | {stage: f"{stage}_metrics" for stage in _METRICS}
    shown |= {"manifest": "run_manifest", **logs}
    nodes = [
        Node(
            collect_benchmarks,
            inputs=["concepts", "twins", "params:evaluation"],
            outputs=["benchmarks", "benchmark_cards"],
            name="collect_benchmarks",
        ),
        Node(
            check_leaks,
            inputs=["benchmarks", "cultwin", "images", "general_pairs", "params:evaluation"],
            outputs=["checked_benchmarks", "leak_check"],
            name="check_leaks",
        ),
        Node(
            evaluate_models,
            inputs={"benchmarks": "checked_benchmarks", "parameters": "params:evaluation", **checkpoints},
            outputs="predictions",
            name="evaluate_models",
        ),
        Node(
            score_models,
            inputs=["predictions", "benchmark_cards", "params:evaluation"],
            outputs="scores",
            name="score_models",
        ),
        Node(
            render_report,
            inputs={
                "scores": "scores",
                "predictions": "predictions",
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
        inputs={*shown.values(), *checkpoints.values(), "general_pairs"},
        outputs={"benchmark_cards", "leak_check", "predictions", "scores", "report"},
        parameters={"params:evaluation"},
    )
