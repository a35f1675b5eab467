"""Which trainings there are: read from the config when pipelines are built, which is before ``--params`` is known."""

from collections.abc import Sequence
from itertools import product

from pydantic import ValidationError

from cultureclip.errors import ConfigurationError
from cultureclip.pipelines.shape import read_config
from cultureclip.pipelines.train.parameters import Trainings
from cultureclip.scoring.models import ModelName


def make_instances(objectives: Sequence[str], seeds: Sequence[int]) -> list[ModelName]:
    """Return every objective with every seed."""
    return [ModelName(objective, seed) for objective, seed in product(objectives, seeds)]


def read_trainings() -> Trainings:
    """Return the trainings that the session's config names, and whether they read hard negatives.

    Raises:
        ConfigurationError: if there is no such configuration, or it names no training, one twice, or an unknown loss.
    """
    conf, parameters = read_config("parameters")
    train = parameters.get("train")
    given = train if isinstance(train, dict) else {}
    try:
        return Trainings.model_validate({name: given[name] for name in Trainings.model_fields if name in given})
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigurationError(
            ".".join(["train", *map(str, first["loc"])]),
            f"{first['msg'].removeprefix('Value error, ')} (in {conf})",
            "Set train.objectives, train.seeds and train.variants in conf/base/parameters_train.yml",
        ) from error


def read_instances() -> list[ModelName]:
    """Return the trainings that ``train.objectives`` and ``train.seeds`` of the session's config name.

    Raises:
        ConfigurationError: see :func:`read_trainings`.
    """
    shape = read_trainings()
    return make_instances(shape.objectives, shape.seeds)


def check_hard_negatives(built: bool, wanted: bool) -> None:
    """Make sure that the pipeline reads hard negatives if the parameters want them.

    Raises:
        ConfigurationError: if only one of both is so.
    """
    if built != wanted:
        raise ConfigurationError(
            "train.hard_negatives",
            "it decides what the pipeline reads, which --params cannot change",
            "Set it in conf/<environment>/parameters_train.yml",
        )


def check_instances(built: Sequence[ModelName], objectives: Sequence[str], seeds: Sequence[int]) -> None:
    """Make sure that the pipeline was built for these parameters.

    Raises:
        ConfigurationError: if it was not; they were given by ``--params``.
    """
    if list(built) != make_instances(objectives, seeds):
        raise ConfigurationError(
            "train.objectives, train.seeds",
            f"the pipeline was built for {', '.join(map(str, built))}, which --params cannot change",
            "Set them in conf/<environment>/parameters_train.yml",
        )
