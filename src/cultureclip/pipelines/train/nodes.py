"""Nodes of the train stage."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cultureclip.clip.contracts import Checkpoint
from cultureclip.drawings import Chart
from cultureclip.images.source import ImageSource
from cultureclip.pipelines.train.instances import check_instances
from cultureclip.pipelines.train.parameters import TrainParameters
from cultureclip.scoring.models import ModelName

Trained = tuple[Checkpoint, list[dict[str, Any]]]
TrainNode = Callable[[pd.DataFrame, ImageSource, pd.DataFrame, pd.DataFrame, TrainParameters], Trained]


def list_general_pairs(concepts: pd.DataFrame, parameters: TrainParameters) -> pd.DataFrame:
    """Return the general pairs that trainings replay; none if no training replays any."""
    from cultureclip.concepts.general_pairs import list_general_pairs as list_pairs

    source = parameters.general_pairs.source if parameters.replays else None
    return list_pairs(source, parameters.general_pairs.most, concepts)


def for_instance(instance: ModelName, built: Sequence[ModelName]) -> TrainNode:
    """Return the node function of one training.

    Args:
        instance: The objective and seed of this node.
        built: All trainings of the pipeline.
    """
    if instance.seed is None:
        raise ValueError(f"{instance} is a mean, not a training")
    seed = instance.seed

    def train_model(
        cultwin: pd.DataFrame,
        images: ImageSource,
        concepts: pd.DataFrame,
        general_pairs: pd.DataFrame,
        parameters: TrainParameters,
    ) -> Trained:
        """Tune the base on the twins; a finished training with the same inputs is reused."""
        from cultureclip.clip.contracts import GeneralPairs
        from cultureclip.clip.data.augmentation import mirrorable_concepts
        from cultureclip.clip.training.runs import train_adapter
        from cultureclip.concepts.exclusions import leave_out
        from cultureclip.concepts.general_pairs import PairPictures
        from cultureclip.models.weights.locate import locate

        check_instances(built, parameters.objectives, parameters.seeds)
        settings = parameters.run_settings(instance.objective)
        card = {
            "base": parameters.base,
            "base_revision": parameters.base_revision,
            "update_scale": parameters.update_scale,
        }
        texts = dict(zip(general_pairs["pair_id"], general_pairs["text"], strict=True))
        pictures = PairPictures(general_pairs, parameters.general_pairs.picture_size)
        rows = leave_out(cultwin, parameters.exclude.find(concepts), str(instance))
        return train_adapter(
            rows,
            images,
            GeneralPairs(texts, pictures) if texts else None,
            locate(parameters.base),
            card=card,
            name=str(instance),
            objective=parameters.objective_of(instance.objective),
            seed=seed,
            settings=settings,
            work_dir=Path(parameters.work_dir),
            mirrorable=mirrorable_concepts(concepts, settings.augmentation.never_mirrored),
        )

    return train_model


def summarise_training(parameters: TrainParameters, **logs: list[dict[str, Any]]) -> tuple[Chart, dict[str, Any]]:
    """Draw all logs into one figure and gather the chosen steps' figures."""
    from cultureclip.clip.training.curves import loss_curves, training_metrics

    objectives = {name: ModelName.parse(name).objective for name in logs}
    chosen_by = {name: parameters.run_settings(o).effective().trainer.select_by for name, o in objectives.items()}
    return loss_curves(logs, objectives), training_metrics(logs, chosen_by)
