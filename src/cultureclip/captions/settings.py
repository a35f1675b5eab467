"""Settings of captions: which kinds are wanted, how they are asked for, and the bounds of their checks."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from cultureclip.captions.claims.settings import ClaimSettings
from cultureclip.captions.dialogue import VoiceSettings
from cultureclip.captions.language import ENGLISH, language_name
from cultureclip.ids import draw_seed
from cultureclip.models.settings import ModelPath
from cultureclip.settings_base import Settings


class CaptionRules(Settings):
    """Bounds of the checks that all kinds share.

    Attributes:
        min_words: Fewest words.
        max_words: Most words; the paper asks for fewer than 15.
        min_features: Fewest key visual features that the caption must show.
        min_precision: Least share of a caption's units that the concept's facts must support.
        max_similarity: Largest cosine of the sentence embeddings of two accepted captions of a concept.
    """

    min_words: int = Field(default=4, ge=1, le=100)
    max_words: int = Field(default=14, ge=1, le=100)
    min_features: int = Field(default=1, ge=0, le=10)
    min_precision: float = Field(default=0.0, ge=0, le=1)
    max_similarity: float = Field(default=1.0, gt=0, le=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_words > self.max_words:
            raise ValueError(f"min_words {self.min_words} is above max_words {self.max_words}: no caption can pass")
        return self


class CaptionKind(Settings):
    """One kind of caption. Both sides of a twin get the same kinds, so what a kind gives away it gives away of both.

    Attributes:
        wanted: Accepted captions of this kind for each concept.
        templates: Template of the prompt for each try; the last one serves all further tries.
        concept: Whether the caption must name its concept, or must not.
        culture: Whether it must name its culture, must not, or may.
        context: Whether it must show something of the context: a setting, an occasion, a use.
        language: ISO 639-1 code of the language that it is written in. A caption in another language than English is
            translated into English by the model, and the checks read the translation.
    """

    wanted: int = Field(ge=1, le=100)
    templates: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    concept: Literal["named", "unnamed"] = "named"
    culture: Literal["named", "unnamed", "free"] = "named"
    context: bool = False
    language: str = ENGLISH

    @field_validator("language")
    @classmethod
    def _known(cls, code: str) -> str:
        language_name(code)
        return code

    def template(self, number: int) -> str:
        """Return the template of a try, counted from 0."""
        return self.templates[min(number, len(self.templates) - 1)]


class CaptionSettings(Settings):
    """How captions are asked for.

    Attributes:
        kinds: Kinds by name, in the order in which they are asked for.
        max_tries: Most candidates of a kind for each concept.
        revise: Whether a candidate with unsupported units is shown to the model with these units, to be corrected; a
            correction is one of the tries.
        seed: Seed of the stage.
        draw: Number of the data's draw: another number gives other answers of the same model.
        max_new_tokens: Most tokens of an answer.
        temperature: Of sampling; 0 takes the likeliest token.
        top_p: Of nucleus sampling.
        voices: Dialogue of two voices that is held first; None for none.
        claims: What is taken from the dialogues; None: captions are asked for with the lines as they were said.
        sentence_encoder: Model that tells near-duplicates; needed where ``rules.max_similarity`` is below 1.
        rules: Bounds of the checks.
    """

    kinds: dict[Annotated[str, Field(pattern=r"^[a-z][a-z_]*$")], CaptionKind] = Field(min_length=1)
    max_tries: int = Field(ge=1, le=1000)
    revise: bool = False
    seed: int = Field(ge=0)
    draw: int = Field(default=0, ge=0)
    max_new_tokens: int = Field(ge=4, le=512)
    temperature: float = Field(ge=0, le=2)
    top_p: float = Field(gt=0, le=1)
    voices: VoiceSettings | None = None
    claims: ClaimSettings | None = None
    sentence_encoder: ModelPath | None = None
    rules: CaptionRules

    @property
    def drawn_seed(self) -> int:
        """Seed of the stage in this draw."""
        return draw_seed(self.seed, self.draw)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for name, kind in self.kinds.items():
            if self.max_tries < kind.wanted:
                raise ValueError(f"max_tries {self.max_tries} is below the {kind.wanted} captions wanted of {name}")
        if self.rules.max_similarity < 1 and self.sentence_encoder is None:
            raise ValueError("rules.max_similarity below 1 needs a sentence_encoder")
        return self

    @model_validator(mode="after")
    def _claims_have_a_source(self) -> Self:
        if self.claims is None:
            return self
        if self.voices is None:
            raise ValueError("claims are taken from dialogues: set voices, or claims to null")
        kind = self.claims.caption_kind
        if kind is not None and (kind not in self.kinds or self.kinds[kind].language != ENGLISH):
            known = ", ".join(name for name, one in self.kinds.items() if one.language == ENGLISH)
            raise ValueError(f"claims.caption_kind {kind!r} is not a kind in English; there are: {known}")
        return self
