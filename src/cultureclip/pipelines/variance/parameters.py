"""Parameters of the variance decomposition."""

from typing import Annotated

from pydantic import Field

from cultureclip.settings_base import Settings


class VarianceParameters(Settings):
    """Draws to compare; ``parameters_variance.yml`` explains each field."""

    runs: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1)
