"""Parameters of the reporting stage."""

from pydantic import Field

from cultureclip.settings_base import Settings


class ReportingParameters(Settings):
    """Settings of the report; ``parameters_reporting.yml`` explains each one."""

    gallery_twins: int = Field(ge=1, le=1_000_000)
