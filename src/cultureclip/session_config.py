"""Which config the session of this process uses: pipelines read their shape from it while they are built.

Kedro builds pipelines without telling them. A note in the process, and not an environment variable, because a child
process (kedro-viz, a worker) has a session and a config of its own.
"""

from typing import NamedTuple


class SessionConfig(NamedTuple):
    """Where a session's config lies, and its environment."""

    source: str
    env: str | None


_noted: SessionConfig | None = None


def note_config(config: SessionConfig | None) -> None:
    """Note the config of the session that has begun; None when its pipelines are built."""
    global _noted  # noqa: PLW0603 - one session at a time lives in a process
    _noted = config


def noted_config() -> SessionConfig | None:
    """The noted config, or None outside of a session."""
    return _noted
