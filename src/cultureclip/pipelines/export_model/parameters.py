"""Parameters of the export of a model."""

from cultureclip.exchange.settings import ModelExportSettings


class ExportModelParameters(ModelExportSettings):
    """Which model is exported; see ``parameters_export_model.yml``."""
