"""Parameters of the gate."""

from typing import Literal

from cultureclip.scoring.gate import GateSettings


class GateParameters(GateSettings):
    """What a checkpoint must not lose; ``parameters_gate.yml`` explains each field.

    Attributes:
        of: Whose predictions are read: an evaluation's or a measurement's.
    """

    of: Literal["evaluation", "measure"]
