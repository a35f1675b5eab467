"""Parameters of the filtering stage."""

from pydantic import Field

from cultureclip.judging.settings import JudgeSettings, TextTemplates, VerdictSettings


class FilteringParameters(JudgeSettings, TextTemplates, VerdictSettings):
    """How images are judged and twins selected; see ``parameters_filtering.yml``.

    Attributes:
        licence: Licence of the generated images, as an SPDX expression.
        min_twins: A run that keeps fewer twins warns.
        min_object_twins: Least number of twins of objects.
    """

    licence: str = Field(min_length=1)
    min_twins: int = Field(ge=0)
    min_object_twins: int = Field(ge=0)
