"""Parameters of the captioning stage."""

from typing import Self

from pydantic import Field, model_validator

from cultureclip.models.settings import LanguageModelSettings
from cultureclip.settings_base import Settings


class RuleSettings(Settings):
    """Bounds of the checks."""

    min_words: int = Field(ge=1, le=100)
    max_words: int = Field(ge=1, le=100)
    min_features: int = Field(ge=0, le=10)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_words > self.max_words:
            raise ValueError(f"min_words {self.min_words} is above max_words {self.max_words}: no caption can pass")
        return self


class CaptioningParameters(Settings):
    """How captions are asked for and checked; see ``parameters_captioning.yml`` for what each one means."""

    language_model: LanguageModelSettings
    per_half: int = Field(ge=1, le=100)
    max_tries: int = Field(ge=1, le=1000)
    full_tries: int = Field(ge=0, le=1000)
    seed: int = Field(ge=0)
    max_new_tokens: int = Field(ge=4, le=512)
    temperature: float = Field(ge=0, le=2)
    top_p: float = Field(gt=0, le=1)
    rules: RuleSettings

    @model_validator(mode="after")
    def _enough_tries(self) -> Self:
        if self.max_tries < self.per_half:
            raise ValueError(f"max_tries {self.max_tries} is below per_half {self.per_half}: no half can be complete")
        return self
