"""Parameters of the evaluation stage."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from cultureclip.benchmarks.concept_texts import NAME_ALONE, ConceptTemplate
from cultureclip.benchmarks.embedding.settings import EmbeddingSettings
from cultureclip.concepts.exclusions import Excluding
from cultureclip.models.settings import ModelPath
from cultureclip.scoring.models import BASE
from cultureclip.scoring.settings import ScoringSettings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")


def _check_name(name: str) -> str:
    if name == BASE:
        raise ValueError(f"the name {BASE} is reserved for base_model")
    if re.search(r"_s\d+\Z", name):
        raise ValueError(f"{name}: _s<number> at the end is reserved for the trainings by seed; write it otherwise")
    if not _NAME.fullmatch(name):
        raise ValueError(
            "a name has 1 to 61 letters, digits, dots, hyphens and underscores, and begins with one of the first two"
        )
    return name


FurtherModelName = Annotated[str, AfterValidator(_check_name)]
"""Name of a further model; neither ``base`` nor the name of a trained model."""


class EvaluationParameters(EmbeddingSettings, ScoringSettings, Excluding):
    """Models, benchmarks and tests of an evaluation; ``parameters_evaluation.yml`` explains each field."""

    benchmarks: list[str] = Field(min_length=1)
    base_model: ModelPath
    models: dict[FurtherModelName, ModelPath] = Field(default_factory=dict)
    embedding_cache: str = Field(min_length=1)
    image_size: int = Field(ge=16, le=1024)
    twin_text: ConceptTemplate = NAME_ALONE
    near_duplicate_bits: int | None = Field(ge=0, le=32)
    scales: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()
    as_released: tuple[Literal[10], ...] = ()

    @model_validator(mode="after")
    def _check_scales(self) -> Self:
        if len(set(self.scales)) < len(self.scales) or any(round(scale, 2) != scale for scale in self.scales):
            raise ValueError("scales: give each once, with two decimals, for models are named by them")
        return self
