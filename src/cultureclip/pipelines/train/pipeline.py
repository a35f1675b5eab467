"""Wiring of the train stage."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.train.instances import make_instances, read_instances, read_trainings
from cultureclip.pipelines.train.nodes import for_instance, for_instances, list_general_pairs, summarise_training
from cultureclip.scoring.models import ModelName


def create_pipeline(objectives: Sequence[str] | None = None, seeds: Sequence[int] | None = None) -> Pipeline:
    """Build the pipeline cultwin, images, concepts, general pairs -> checkpoints, logs, curves, metrics.

    Args:
        objectives: Losses; by default the config's.
        seeds: Seeds; by default the config's.
    """
    named = bool(objectives and seeds)
    instances = make_instances(objectives, seeds) if objectives and seeds else read_instances()
    read = ["culture_instances"] if not named and read_trainings().hard_negatives else []
    together = Node(
        for_instances(instances),
        ["cultwin", "images", "concepts", "general_pairs", "params:train", *read],
        "train.trainings",
        name="train_together",
        namespace="train",
    )
    trainings = [_training(instance) for instance in instances]
    logs = {str(instance): f"training_log_{instance}" for instance in instances}
    summary = Node(
        summarise_training,
        {"parameters": "params:train", **logs},
        ["loss_curves", "training_metrics"],
        name="summarise_training",
        namespace="train",
    )
    pairs = Node(
        list_general_pairs, ["concepts", "params:train"], "general_pairs", name="list_general_pairs", namespace="train"
    )
    return Pipeline([pairs, together, *trainings, summary], tags="train")


def _training(instance: ModelName) -> Pipeline:
    """Wire one training, in a namespace of its own: lineage collapses to a box per objective, and to one for all."""
    node = Node(for_instance(instance), "trainings", ["checkpoint", "log"], name="train_model")
    return Pipeline(
        [node],
        namespace=f"train.{instance.objective}.s{instance.seed}",
        inputs={"trainings": "train.trainings"},
        outputs={"checkpoint": f"checkpoint_{instance}", "log": f"training_log_{instance}"},
    )
