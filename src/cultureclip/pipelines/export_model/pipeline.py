"""Wiring of the export of a model."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.export_model.nodes import describe_data, describe_scores, export_model
from cultureclip.pipelines.train.instances import make_instances, read_instances

_DATA = ("cultwin", "concepts", "captions", "evaluation_run")
_SCORES = ("scores", "abilities", "benchmark_cards", "leak_check", "evaluation_run")


def create_pipeline(objectives: Sequence[str] | None = None, seeds: Sequence[int] | None = None) -> Pipeline:
    """Build the pipeline checkpoints, training data, scores -> exported_model.

    Args:
        objectives: Losses of the trainings; by default the config's.
        seeds: Seeds of the trainings; by default the config's.
    """
    instances = make_instances(objectives, seeds) if objectives and seeds else read_instances()
    checkpoints = {str(instance): f"checkpoint_{instance}" for instance in instances}
    logs = {str(instance): f"training_log_{instance}" for instance in instances}
    nodes = [
        Node(
            describe_data,
            {"parameters": "params:export_model", **{name: name for name in _DATA}, **logs},
            "data_facts",
            name="describe_data",
        ),
        Node(
            describe_scores,
            {"parameters": "params:export_model", **{name: name for name in _SCORES}, **checkpoints},
            "score_facts",
            name="describe_scores",
        ),
        Node(
            export_model,
            {
                "parameters": "params:export_model",
                **{name: name for name in ("data_facts", "score_facts", "evaluation_run")},
                **checkpoints,
            },
            "exported_model",
            name="export_model",
        ),
    ]
    return Pipeline(
        nodes,
        namespace="export_model",
        tags="export_model",
        inputs={*_DATA, *_SCORES, *checkpoints.values(), *logs.values()},
        outputs={"exported_model"},
        parameters={"params:export_model"},
    )
