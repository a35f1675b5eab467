"""Parameters that shape a pipeline. They are read from the config, because ``--params`` is not known yet."""

import os
from pathlib import Path
from typing import Any

from kedro.config import MissingConfigException, OmegaConfigLoader
from kedro.utils import find_kedro_project

from cultureclip.errors import ConfigurationError
from cultureclip.session_config import LOADER_ARGS, SessionConfig, noted_config


def read_config(kind: str) -> tuple[str, dict[str, Any]]:
    """Read one kind of the session's config.

    Outside of a session that is the config of the project in the working directory, in the environment ``KEDRO_ENV``.

    Args:
        kind: ``parameters`` or ``catalog``.

    Returns:
        The location and the contents of the config.

    Raises:
        ConfigurationError: if there is no such configuration.
    """
    # A second loader takes over the resolvers of the session: it must read the same config for ${globals:...} to stay.
    conf, env, _ = noted_config() or _project_config()
    loader = OmegaConfigLoader(conf, env=env, **LOADER_ARGS)
    try:
        return conf, loader[kind]
    except MissingConfigException as error:
        raise ConfigurationError(conf, f"no configuration ({error})", "Run in the project's folder") from error


def _project_config() -> SessionConfig:
    folder = find_kedro_project(Path.cwd()) or Path.cwd()
    return SessionConfig(str(folder / "conf"), os.environ.get("KEDRO_ENV"))
