"""Parameters of the reporting stage."""

from pydantic import Field

from cultureclip.settings_base import Settings


class ReportingParameters(Settings):
    """How the report is written; see ``parameters_reporting.yml`` for what each one means."""

    gallery_twins: int = Field(ge=1, le=1_000_000)
