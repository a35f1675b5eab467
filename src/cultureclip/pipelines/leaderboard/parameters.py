"""Parameters of the leaderboard."""

from pydantic import Field

from cultureclip.settings_base import Settings


class LeaderboardParameters(Settings):
    """Results to merge; ``parameters_leaderboard.yml`` explains each field."""

    results: list[str] = Field(min_length=1)
    metrics: list[str]
