"""All objectives with their code: for use without a config."""

from cultureclip.clip.objectives.contrast import TwinEmbeddings
from cultureclip.clip.objectives.objective import Objective
from cultureclip.clip.objectives.registry import OBJECTIVE_TITLES, load_objective
from cultureclip.clip.settings import ObjectiveSettings
from cultureclip.errors import ConfigurationError

__all__ = ["OBJECTIVES", "Objective", "TwinEmbeddings", "build_objective"]

OBJECTIVES: dict[str, type[Objective]] = {name: load_objective(name) for name in OBJECTIVE_TITLES}
"""Objectives by the name that the config gives them."""


def build_objective(name: str, settings: ObjectiveSettings | None = None) -> Objective:
    """Make an objective.

    Raises:
        ConfigurationError: if there is no objective of this name.
    """
    if name not in OBJECTIVES:
        raise ConfigurationError(f"objective {name!r}", "unknown", f"Choose one of: {', '.join(OBJECTIVES)}")
    return OBJECTIVES[name](settings)
