"""Parameters of the calibration."""

from cultureclip.judging.calibration.settings import CalibrationSettings
from cultureclip.models.settings import ModelFiles


class CalibrationParameters(CalibrationSettings):
    """How judges are compared with people; ``parameters_calibration.yml`` explains each field.

    Attributes:
        models: Part that a model plays -> the model: a warning says which parts have the same weights.
    """

    models: dict[str, ModelFiles]
