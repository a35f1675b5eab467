"""Parameters of the filtering stage."""

from typing import Annotated

from pydantic import Field

from cultureclip.concepts.exclusions import Excluding
from cultureclip.judging.settings import DecisionSettings, JudgeSettings, TextTemplates


class FilteringParameters(JudgeSettings, TextTemplates, DecisionSettings, Excluding):
    """How images are judged and twins selected; see ``parameters_filtering.yml``.

    Attributes:
        licence: Licence of the generated images, as an SPDX expression.
        min_twins: A run that keeps fewer twins warns.
        min_twins_per_kind: Least number of twins of a kind: of universals that are counted by themselves, and of
            ``other``, all the rest.
    """

    licence: str = Field(min_length=1)
    min_twins: int = Field(ge=0)
    min_twins_per_kind: dict[str, Annotated[int, Field(ge=0)]]
