"""Parameters of the project's own configuration, changed for a test."""

from functools import cache
from pathlib import Path
from typing import Any

from kedro.config import OmegaConfigLoader

from cultureclip.pipelines.parameters import PARAMETERS
from cultureclip.settings import CONFIG_LOADER_ARGS
from cultureclip.settings_base import Settings

CONF = Path(__file__).parents[2] / "conf"


@cache
def load_parameters(env: str = "base") -> dict[str, Any]:
    """All parameters of an environment."""
    parameters: dict[str, Any] = OmegaConfigLoader(str(CONF), env=env, **CONFIG_LOADER_ARGS)["parameters"]
    return parameters


def change_stage(stage: str, env: str = "base", **changes: Any) -> Settings:
    """A stage's parameters with some of them replaced; a mapping replaces only the keys that it has."""
    parameters = load_parameters(env)[stage]
    merged = {
        key: {**parameters[key], **value}
        if isinstance(value, dict) and isinstance(parameters.get(key), dict)
        else value
        for key, value in changes.items()
    }
    return PARAMETERS[stage].model_validate(parameters | merged)
