"""Parameters of the import."""

from cultureclip.concepts.exclusions import Excluding
from cultureclip.exchange.settings import ImportSettings


class ImportCultwinParameters(ImportSettings, Excluding):
    """How rows become training rows; see ``parameters_import_cultwin.yml``."""
