"""Parameters of the leaderboard."""

from pydantic import Field

from cultureclip.settings_base import Settings


class LeaderboardParameters(Settings):
    """What is merged; see ``parameters_leaderboard.yml`` for what each one means."""

    results: list[str] = Field(min_length=1)
    metrics: list[str]
