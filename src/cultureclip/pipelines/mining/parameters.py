"""Parameters of the mining stage."""

from pydantic import Field

from cultureclip.concepts.exclusions import Excluding
from cultureclip.concepts.settings import BottomUpSettings, MergeSettings, TwinSettings
from cultureclip.concepts.sources.registry import ConceptSource
from cultureclip.concepts.twin_proposals import TwinProposalSettings
from cultureclip.images.portraits import PortraitSettings
from cultureclip.models.settings import JudgePath, ModelPath
from cultureclip.settings_base import CPU, Device


class MiningParameters(Excluding):
    """How concepts are read and twins found; see ``parameters_mining.yml``.

    Attributes:
        problems_shown: Bad rows of a table of concepts that one error lists, and examples of a reason in the report.
        sources: Where concepts come from; of rows that name one thing the first source gives name, category and facts.
        merging: When rows of several sources are one concept.
        judge: Image encoder whose embeddings decide which concepts look alike.
        device: Device of the judge.
        sentence_encoder: Whose sentence embeddings say how close two contexts are.
        bottom_up: The pass over titles.
        twins: Matching on two axes.
        portraits: How concepts without a picture are drawn from their features; None: they are in no twin.
        twin_proposals: How a language model is asked for twins, a second source of pairs; None: it is not asked.
    """

    problems_shown: int = Field(ge=1)
    sources: tuple[ConceptSource, ...] = Field(min_length=1)
    merging: MergeSettings
    judge: JudgePath
    device: Device = CPU
    sentence_encoder: ModelPath
    bottom_up: BottomUpSettings
    twins: TwinSettings
    portraits: PortraitSettings | None = None
    twin_proposals: TwinProposalSettings | None = None
