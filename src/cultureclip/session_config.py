"""How config is loaded, and which config a session uses: pipelines read their shape from it while they are built.

Kedro builds pipelines without telling them. A note in the context of the thread, since a server runs several sessions
in one process; and not an environment variable, because a child process (kedro-viz, a worker) has its own config.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, NamedTuple

LOADER_ARGS: dict[str, Any] = {
    "base_env": "base",
    "default_run_env": "local",
    # An environment overrides single parameters, at any depth, not whole stages.
    "merge_strategy": {"parameters": "soft"},
    "config_patterns": {
        "parameters": ["parameters*", "parameters*/**"],
        "catalog": ["catalog*", "catalog*/**"],
        "globals": ["globals*"],
        "mlflow": ["mlflow*"],
    },
}
"""Arguments of the config loader, in Kedro's settings and here."""


class SessionConfig(NamedTuple):
    """Location of a session's config, its environment, and the parameters as configured."""

    source: str
    env: str | None
    parameters: Mapping[str, Any] = MappingProxyType({})


_noted: ContextVar[SessionConfig | None] = ContextVar("session_config", default=None)


def note_config(config: SessionConfig | None) -> None:
    """Note the config of the session that has begun in this thread; None when its pipelines are built."""
    _noted.set(config)


def noted_config() -> SessionConfig | None:
    """Return the noted config, or None outside of a session."""
    return _noted.get()
