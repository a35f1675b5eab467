"""Parameters of the export."""

from cultureclip.exchange.settings import ExportSettings


class ExportParameters(ExportSettings):
    """What is exported; see ``parameters_export.yml``."""
