"""Parameters of the export."""

from cultureclip.concepts.exclusions import Excluding
from cultureclip.exchange.settings import ExportSettings


class ExportParameters(ExportSettings, Excluding):
    """What is exported; see ``parameters_export.yml``."""
