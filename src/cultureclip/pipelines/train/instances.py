"""Which trainings there are: read from the config when pipelines are built, which is before ``--params`` is known."""

import os
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

from kedro.config import MissingConfigException, OmegaConfigLoader
from kedro.utils import find_kedro_project

from cultureclip.errors import ConfigurationError
from cultureclip.session_config import SessionConfig, noted_config
from cultureclip.settings import CONFIG_LOADER_ARGS


class Instance(NamedTuple):
    """One training."""

    objective: str
    seed: int

    @property
    def name(self) -> str:
        """``<objective>_s<seed>``; with ``train_`` before it, the namespace."""
        return f"{self.objective}_s{self.seed}"


def make_instances(objectives: Sequence[str], seeds: Sequence[int]) -> list[Instance]:
    """Every objective with every seed."""
    return [Instance(objective, seed) for objective, seed in product(objectives, seeds)]


def read_instances() -> list[Instance]:
    """The trainings that ``train.objectives`` and ``train.seeds`` of the session's config name.

    Outside of a session that is the config of the project in the working directory, in the environment ``KEDRO_ENV``.

    Raises:
        ConfigurationError: there is no such configuration.
    """
    # A second loader takes over the resolvers of the session: it must read the same config for ${globals:...} to stay.
    conf, env = noted_config() or _project_config()
    loader = OmegaConfigLoader(conf, env=env, **CONFIG_LOADER_ARGS)
    try:
        train = loader["parameters"].get("train", {})
    except MissingConfigException as error:
        raise ConfigurationError(conf, f"no configuration ({error})", "Run in the project's folder") from error
    if not train.get("objectives") or not train.get("seeds"):
        raise ConfigurationError(
            "train.objectives, train.seeds", f"not in {conf}", "Set them in conf/base/parameters_train.yml"
        )
    return make_instances(train["objectives"], train["seeds"])


def _project_config() -> SessionConfig:
    folder = find_kedro_project(Path.cwd()) or Path.cwd()
    return SessionConfig(str(folder / "conf"), os.environ.get("KEDRO_ENV"))


def check_instances(built: Sequence[Instance], objectives: Sequence[str], seeds: Sequence[int]) -> None:
    """Make sure that the pipeline was built for these parameters.

    Raises:
        ConfigurationError: it was not; they were given by ``--params``.
    """
    if list(built) != make_instances(objectives, seeds):
        raise ConfigurationError(
            "train.objectives, train.seeds",
            f"the pipeline was built for {', '.join(i.name for i in built)}, which --params cannot change",
            "Set them in conf/<environment>/parameters_train.yml",
        )
