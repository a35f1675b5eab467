"""Parameters of the filtering stage."""

from pydantic import Field

from cultureclip.judging.settings import DecisionSettings, JudgeSettings, TextTemplates


class FilteringParameters(JudgeSettings, TextTemplates, DecisionSettings):
    """How images are judged and twins selected; see ``parameters_filtering.yml``.

    Attributes:
        licence: Licence of the generated images, as an SPDX expression.
        min_twins: A run that keeps fewer twins warns.
        min_object_twins: Least number of twins of objects.
    """

    licence: str = Field(min_length=1)
    min_twins: int = Field(ge=0)
    min_object_twins: int = Field(ge=0)
