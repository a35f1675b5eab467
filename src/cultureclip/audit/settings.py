"""Settings of an audit: who is asked what, how often, and in which words."""

from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from cultureclip.audit.measures.hofstede import IndexSettings
from cultureclip.audit.tasks.matching import Shown
from cultureclip.models.chat.settings import ChatSettings
from cultureclip.models.settings import ModelPath
from cultureclip.settings_base import CPU, Device, Settings

Order = Literal["given", "reversed"]
"""Order in which the options of a question are listed."""
Name = Annotated[str, Field(min_length=1, pattern=r"\S")]


class InterviewSettings(Settings):
    """How survey questions are asked.

    Attributes:
        personas: Stratum -> words for its people, such as ``old: an old person``.
        orders: Orders of the options; every question is asked in each, in every wording of the prompt file.
        repeats: How often a question is asked in the same words, with another seed. Two or more tell how often an
            answer changes by chance.
        temperature: Of the sampling.
        top_p: Of the sampling.
        max_new_tokens: Most tokens of an answer.
        refusals: Phrases by which an answer that is no option counts as a refusal, in any language.
    """

    personas: dict[Name, Name] = Field(min_length=1)
    orders: tuple[Order, ...] = Field(default=("given", "reversed"), min_length=1)
    repeats: int = Field(default=2, ge=1, le=100)
    temperature: float = Field(default=0.7, ge=0, le=2)
    top_p: float = Field(default=0.9, gt=0, le=1)
    max_new_tokens: int = Field(default=16, ge=1, le=512)
    refusals: tuple[Name, ...] = ()

    @field_validator("orders")
    @classmethod
    def _distinct_orders(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return _distinct(names)

    @model_validator(mode="after")
    def _repeats_differ(self) -> Self:
        if self.repeats > 1 and self.temperature == 0:
            raise ValueError("repeats at temperature 0 are the same answer again: set repeats: 1 or a temperature")
        return self


class SurveySettings(InterviewSettings):
    """A survey of a model that answers as people of countries.

    Attributes:
        questionnaire: CSV of the questions.
        published: CSV of the published indices; None: no ranks are compared.
        population: CSV of how people answered; None: no distributions are compared, and no answers are aligned.
        countries: Whose people the model answers as, as they are named in its questions.
        smoothing: Added to each option's count in the model's distributions.
        indices: What is free in the formulas of the indices.
    """

    questionnaire: str = Field(min_length=1)
    published: str | None = Field(default=None, min_length=1)
    population: str | None = Field(default=None, min_length=1)
    countries: tuple[Name, ...] = Field(min_length=1)
    smoothing: float = Field(default=0.5, gt=0, le=10)
    indices: IndexSettings = IndexSettings()

    @field_validator("countries")
    @classmethod
    def _distinct_countries(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return _distinct(names)


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    for name, count in Counter(names).items():
        if count > 1:
            raise ValueError(f"{name!r} is listed {count} times: its answers would count as often")
    return names


class MatchingSettings(Settings):
    """CUNIT's matching task.

    Attributes:
        file: Triplets of CUNIT (JSON), or a CSV of concepts with features.
        first: Most triplets; None: all.
        shown: What is shown of each thing.
        bands: Gap in similarity from which on it is called middle, and large.
        text_tower: Image-text model whose text tower does the same task; None: none.
        device: Device of the text tower.
        max_new_tokens: Most tokens of an answer.
    """

    file: str = Field(min_length=1)
    first: int | None = Field(default=None, ge=1)
    shown: tuple[Shown, ...] = Field(default=("names", "features"), min_length=1)
    bands: tuple[float, float] = (0.33, 0.66)
    text_tower: ModelPath | None = None
    device: Device = CPU
    max_new_tokens: int = Field(default=8, ge=1, le=512)

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if not 0 < self.bands[0] < self.bands[1] < 1:
            raise ValueError("bands: give two rising numbers between 0 and 1")
        return self


class KnowledgeSettings(Settings):
    """Open questions, whose answers are judged by knowledge units.

    Attributes:
        file: CSV of open questions with known units.
        first: Most questions; None: all.
        judge: Who cuts answers into units, judges and criticises them; None: the audited model itself.
        max_answer_tokens: Most tokens of an answer.
        max_units_tokens: Most tokens of the list of its units.
        max_critique_tokens: Most tokens of a critique.
        tries: Most times that the list of units is asked for.
    """

    file: str = Field(min_length=1)
    first: int | None = Field(default=None, ge=1)
    judge: ChatSettings | None = None
    max_answer_tokens: int = Field(default=96, ge=8, le=4096)
    max_units_tokens: int = Field(default=192, ge=8, le=4096)
    max_critique_tokens: int = Field(default=128, ge=8, le=4096)
    tries: int = Field(default=2, ge=1, le=10)


class AuditSettings(Settings):
    """An audit of a chat model.

    Attributes:
        language_model: The model.
        survey: Questions with options.
        matching: CUNIT's task; None: it is left out.
        knowledge: Open questions; None: they are left out.
        seed: Seed of the sampling.
    """

    language_model: ChatSettings
    survey: SurveySettings
    matching: MatchingSettings | None = None
    knowledge: KnowledgeSettings | None = None
    seed: int = Field(default=42, ge=0)


class InstanceSettings(Settings):
    """Culture-related questions about twins.

    Attributes:
        language_model: The model that is asked.
        question: The question; ``{universal}`` is the kind of thing.
        options: Most options of a question.
        statement: Text of a hard negative, with ``{name}`` of the wrong thing and the ``{country}``.
        picture_size: Edge of drawings in the benchmark that is made of the hard negatives.
        first: Most questions; None: all.
        asking: How it is asked, and how often.
        seed: Seed of the answers.
    """

    language_model: ChatSettings
    question: Name
    options: int = Field(default=4, ge=2, le=9)
    statement: Annotated[str, Field(pattern=r"\{name\}")] = "{name} from {country}"
    picture_size: int = Field(default=48, ge=16, le=1024)
    first: int | None = Field(default=None, ge=1)
    asking: InterviewSettings
    seed: int = Field(ge=0)
