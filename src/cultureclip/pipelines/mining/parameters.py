"""Parameters of the mining stage."""

from pydantic import Field

from cultureclip.concepts.settings import BottomUpSettings, TwinSettings
from cultureclip.models.settings import JudgePath, ModelPath
from cultureclip.settings_base import CPU, Device, Settings


class MiningParameters(Settings):
    """How concepts are read and twins found; see ``parameters_mining.yml``.

    Attributes:
        problems_shown: Bad rows of a table of concepts that one error lists.
        judge: Image encoder whose embeddings decide which concepts look alike.
        device: Device of the judge.
        sentence_encoder: Whose sentence embeddings say how close two contexts are.
        bottom_up: The pass over all emoji names.
        twins: Matching on two axes.
    """

    problems_shown: int = Field(ge=1)
    judge: JudgePath
    device: Device = CPU
    sentence_encoder: ModelPath
    bottom_up: BottomUpSettings
    twins: TwinSettings
