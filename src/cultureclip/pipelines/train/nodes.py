"""Nodes of the train stage."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from cultureclip.clip.contracts import Checkpoint, GeneralPairs
from cultureclip.drawings import Chart
from cultureclip.images.source import ImageSource
from cultureclip.pipelines.train.instances import check_hard_negatives, check_instances
from cultureclip.pipelines.train.parameters import TrainParameters
from cultureclip.scoring.models import ModelName

if TYPE_CHECKING:
    from cultureclip.clip.training.together import Training

Trained = tuple[Checkpoint, list[dict[str, Any]]]
# Kedro reads these hints when it checks parameters, so they cannot name a type whose module imports torch.
Trainings = Mapping[str, Any]
"""Name -> ``clip.training.together.Training``."""
TrainTogether = Callable[..., Trainings]
TrainNode = Callable[[Trainings], Trained]


def list_general_pairs(concepts: pd.DataFrame, parameters: TrainParameters) -> pd.DataFrame:
    """Return the general pairs that trainings replay; none if no training replays any."""
    from cultureclip.concepts.general_pairs import list_general_pairs as list_pairs

    source = parameters.general_pairs.source if parameters.replays else None
    return list_pairs(source, parameters.general_pairs.most, concepts)


def for_instances(built: Sequence[ModelName]) -> TrainTogether:
    """Return the node function that lists all trainings of the pipeline, and does several at a time."""

    def train_together(
        cultwin: pd.DataFrame,
        images: ImageSource,
        concepts: pd.DataFrame,
        general_pairs: pd.DataFrame,
        parameters: TrainParameters,
        culture_instances: pd.DataFrame | None = None,
    ) -> Trainings:
        """List all trainings; with ``at_once`` above 1, do the unfinished ones in processes of their own."""
        from cultureclip.audit.culture_instances import add_hard_negatives
        from cultureclip.clip.training.together import train_together as train
        from cultureclip.concepts.exclusions import leave_out
        from cultureclip.concepts.general_pairs import PairPictures

        check_instances(built, parameters.objectives, parameters.seeds)
        check_hard_negatives(culture_instances is not None, parameters.hard_negatives)
        texts = dict(zip(general_pairs["pair_id"], general_pairs["text"], strict=True))
        pictures = PairPictures(general_pairs, parameters.general_pairs.picture_size)
        rows = leave_out(cultwin, parameters.exclude.find(concepts), "Training")
        general = GeneralPairs(texts, pictures) if texts else None
        hard = rows if culture_instances is None else add_hard_negatives(rows, culture_instances)

        def rows_of(instance: ModelName) -> pd.DataFrame:
            return hard if parameters.run_settings(instance.objective).objective.hard_negative_weight else rows

        trainings = {str(one): _training(one, rows_of(one), images, concepts, general, parameters) for one in built}
        train(list(trainings.values()), parameters.at_once)
        return trainings

    return train_together


def _training(
    instance: ModelName,
    rows: pd.DataFrame,
    images: ImageSource,
    concepts: pd.DataFrame,
    general: GeneralPairs | None,
    parameters: TrainParameters,
) -> "Training":
    from cultureclip.clip.data.augmentation import mirrorable_concepts
    from cultureclip.clip.training.together import Training
    from cultureclip.models.weights.locate import locate

    if instance.seed is None:
        raise ValueError(f"{instance} is a mean, not a training")
    settings = parameters.run_settings(instance.objective)
    card = {name: getattr(parameters, name) for name in ("base", "base_revision", "update_scale")}
    return Training(
        cultwin=rows,
        images=images,
        general=general,
        base=locate(parameters.base),
        card=card,
        name=str(instance),
        objective=parameters.objective_of(instance.objective),
        seed=instance.seed,
        settings=settings,
        work_dir=Path(parameters.work_dir),
        mirrorable=mirrorable_concepts(concepts, settings.augmentation.never_mirrored),
    )


def for_instance(instance: ModelName) -> TrainNode:
    """Return the node function of one training."""

    def train_model(trainings: Trainings) -> Trained:
        """Tune the base on the twins; a finished training with the same inputs is reused."""
        trained: Trained = trainings[str(instance)].run()
        return trained

    return train_model


def summarise_training(parameters: TrainParameters, **logs: list[dict[str, Any]]) -> tuple[Chart, dict[str, Any]]:
    """Draw all logs into one figure and gather the chosen steps' figures."""
    from cultureclip.clip.training.curves import loss_curves, training_metrics

    objectives = {name: ModelName.parse(name).objective for name in logs}
    chosen_by = {name: parameters.run_settings(o).effective().trainer.select_by for name, o in objectives.items()}
    return loss_curves(logs, objectives), training_metrics(logs, chosen_by)
