"""Parameters of the mining stage."""

from string import Formatter

from pydantic import Field, field_validator

from cultureclip.models.settings import JudgePath, LanguageModelSettings, ModelPath
from cultureclip.settings_base import CPU, Device, Settings


class Question(Settings):
    """A question with two answers, asked of many names."""

    instruction: str = Field(min_length=1, description="With {yes} and {no} where the two answers are named")
    options: tuple[str, str]
    examples: tuple[tuple[str, bool], ...]

    @field_validator("instruction")
    @classmethod
    def _names_both_answers(cls, instruction: str) -> str:
        if {field for _, field, _, _ in Formatter().parse(instruction) if field is not None} != {"yes", "no"}:
            raise ValueError("must name {yes} and {no}, and no other field")
        return instruction

    def to_messages(self, yes: str, no: str) -> list[dict[str, str]]:
        """The chat turns before a name, the instruction and the worked examples, with these two words as answers."""
        turns = [{"role": "system", "content": self.instruction.format(yes=yes, no=no)}]
        for name, is_true in self.examples:
            turns += [{"role": "user", "content": name}, {"role": "assistant", "content": yes if is_true else no}]
        return turns


class BottomUpSettings(Settings):
    """The pass over all emoji names."""

    enabled: bool
    language_model: LanguageModelSettings
    question: Question
    folds: int = Field(ge=2, le=20)
    resamples: int = Field(ge=100, le=100_000)


class TwinSettings(Settings):
    """Matching on two axes."""

    picture_size: int = Field(ge=16, le=1024)
    indistinguishable_below: float = Field(ge=0, lt=32, description="Mean absolute difference in grey levels")
    compare_mirrored: bool
    neighbours: int = Field(ge=1, le=1000)
    context_weight: float = Field(ge=0, le=1)
    min_visual_similarity: float = Field(ge=-1, le=1)
    max_twins_per_concept: int = Field(ge=1)
    max_flag_twins: int = Field(ge=0)
    max_object_twins: int = Field(ge=0)
    dev_share: float = Field(ge=0, lt=1)


class MiningParameters(Settings):
    """How concepts are read and twins found; see ``parameters_mining.yml`` for what each one means."""

    problems_shown: int = Field(ge=1)
    judge: JudgePath
    device: Device = CPU
    sentence_encoder: ModelPath
    bottom_up: BottomUpSettings
    twins: TwinSettings
