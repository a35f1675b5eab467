"""Wiring of the reporting stage."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.reporting.nodes import (
    export_results,
    gather_answers,
    gather_stages,
    gather_twins,
    render_report,
    tabulate_scores,
)
from cultureclip.pipelines.train.instances import make_instances, read_instances

_ANSWERS = (
    "predictions",
    "scores",
    "group_scores",
    "confusions",
    "abilities",
    "name_bias",
    "benchmark_cards",
    "leak_check",
    "asked_pictures",
)
_TABLES = ("concepts", "twins", "captions", "image_requests", "judgements", "cultwin")
_METRICS = ("mining", "captioning", "synthesis", "filtering", "training")


def create_pipeline(objectives: Sequence[str] | None = None, seeds: Sequence[int] | None = None) -> Pipeline:
    """Build the pipeline outputs of all stages -> report, score_table, results, without a new evaluation.

    Args:
        objectives: Losses of the trainings; by default the config's.
        seeds: Seeds of the trainings; by default the config's.
    """
    instances = make_instances(objectives, seeds) if objectives and seeds else read_instances()
    stages = {stage: f"{stage}_metrics" for stage in _METRICS}
    stages |= {str(instance): f"training_log_{instance}" for instance in instances}
    nodes = [
        *publish(),
        Node(gather_answers, list(_ANSWERS), "answers", name="gather_answers"),
        Node(gather_twins, list(_TABLES), "tables", name="gather_twins"),
        Node(gather_stages, stages, "stages", name="gather_stages"),
        Node(
            render_report,
            ["answers", "tables", "stages", "images", "thumbnail_store", "evaluation_run", "params:reporting"],
            "report",
            name="render_report",
        ),
    ]
    return Pipeline(
        nodes,
        namespace="reporting",
        tags="reporting",
        inputs={*_ANSWERS, *_TABLES, *stages.values(), "images", "thumbnail_store", "evaluation_run"},
        outputs={"report", "score_table", "results"},
        parameters={"params:reporting"},
    )


def publish() -> list[Node]:
    """Return the nodes that tabulate and export scores from any source."""
    return [
        Node(
            tabulate_scores,
            inputs=["scores", "abilities", "benchmark_cards", "evaluation_run"],
            outputs="score_table",
            name="tabulate_scores",
        ),
        Node(
            export_results,
            inputs=["scores", "group_scores", "predictions", "benchmark_cards", "evaluation_run"],
            outputs="results",
            name="export_results",
        ),
    ]
