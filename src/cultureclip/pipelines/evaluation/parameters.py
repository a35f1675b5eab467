"""Parameters of the evaluation stage."""

from pydantic import Field

from cultureclip.pipelines.settings import Settings


class EvaluationParameters(Settings):
    """What is compared, and how; see ``parameters_evaluation.yml`` for what each one means."""

    base_model: str = Field(min_length=1)
    embedding_cache: str = Field(min_length=1)
    image_size: int = Field(ge=16, le=1024)
    near_duplicate_bits: int | None = Field(ge=0, le=32)
    plain_objective: str = Field(min_length=1)
    proposed_objective: str = Field(min_length=1)
    resamples: int = Field(ge=200, le=100_000)
    seed: int = Field(ge=0)
    gallery_twins: int = Field(ge=1, le=500)
