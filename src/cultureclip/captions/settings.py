"""Settings of captions: how they are asked for, and the bounds of their checks."""

from typing import Self

from pydantic import Field, model_validator

from cultureclip.settings_base import Settings


class CaptionRules(Settings):
    """Bounds of the checks.

    Attributes:
        min_words: Fewest words.
        max_words: Most words; the paper asks for fewer than 15.
        min_features: Fewest key visual features that the caption must show.
    """

    min_words: int = Field(default=4, ge=1, le=100)
    max_words: int = Field(default=14, ge=1, le=100)
    min_features: int = Field(default=1, ge=0, le=10)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_words > self.max_words:
            raise ValueError(f"min_words {self.min_words} is above max_words {self.max_words}: no caption can pass")
        return self


class CaptionSettings(Settings):
    """How captions are asked for.

    Attributes:
        per_half: Accepted captions wanted for each concept; the paper has 10.
        max_tries: Most candidates for each concept.
        full_tries: Of these, the first that are asked with context and several features.
        seed: Seed of the stage.
        max_new_tokens: Most tokens of an answer.
        temperature: Of sampling; 0 takes the likeliest token.
        top_p: Of nucleus sampling.
        rules: Bounds of the checks.
    """

    per_half: int = Field(ge=1, le=100)
    max_tries: int = Field(ge=1, le=1000)
    full_tries: int = Field(ge=0, le=1000)
    seed: int = Field(ge=0)
    max_new_tokens: int = Field(ge=4, le=512)
    temperature: float = Field(ge=0, le=2)
    top_p: float = Field(gt=0, le=1)
    rules: CaptionRules

    @model_validator(mode="after")
    def _enough_tries(self) -> Self:
        if self.max_tries < self.per_half:
            raise ValueError(f"max_tries {self.max_tries} is below per_half {self.per_half}: no half can be complete")
        return self
