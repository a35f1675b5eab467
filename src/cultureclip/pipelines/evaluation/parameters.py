"""Parameters of the evaluation stage."""

import re
from typing import Annotated, Self

from pydantic import Field, model_validator

from cultureclip.benchmarks.embedding.settings import EmbeddingSettings
from cultureclip.models.settings import ModelPath
from cultureclip.scoring.settings import ScoringSettings

FurtherModelName = Annotated[str, Field(pattern=re.compile(r"^(?!base$|.*_s\d+$)[A-Za-z0-9][A-Za-z0-9._-]{0,60}\Z"))]
"""Name of a further model; neither ``base`` nor the name of a trained one."""


class EvaluationParameters(EmbeddingSettings, ScoringSettings):
    """What is compared, and how; see ``parameters_evaluation.yml`` for what each one means."""

    benchmarks: list[str] = Field(min_length=1)
    base_model: ModelPath
    models: dict[FurtherModelName, ModelPath] = Field(default_factory=dict)
    embedding_cache: str = Field(min_length=1)
    image_size: int = Field(ge=16, le=1024)
    near_duplicate_bits: int | None = Field(ge=0, le=32)
    scales: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()

    @model_validator(mode="after")
    def _check_scales(self) -> Self:
        if len(set(self.scales)) < len(self.scales) or any(round(scale, 2) != scale for scale in self.scales):
            raise ValueError("scales: give each once, with two decimals, for models are named by them")
        return self
