"""Parameters of the filtering stage."""

from string import Formatter

from pydantic import Field, field_validator

from cultureclip.models.settings import JudgePath
from cultureclip.settings_base import CPU, Device, Settings

_TEMPLATE_FIELDS = {"name", "culture", "universal"}


class FilteringParameters(Settings):
    """How images are judged and twins selected; see ``parameters_filtering.yml`` for what each one means."""

    judge: JudgePath
    device: Device = CPU
    batch: int = Field(ge=1, le=4096)
    concept_templates: tuple[str, ...] = Field(min_length=1)
    twin_margin: float = Field(ge=0, lt=2)
    chance_margin: float = Field(ge=0, lt=2)
    max_hamming: int = Field(ge=0, le=64)
    max_colour_distance: float = Field(ge=0, le=255)
    min_images_per_half: int = Field(ge=1)
    licence: str = Field(min_length=1)
    min_twins: int = Field(ge=0)
    min_object_twins: int = Field(ge=0)

    @field_validator("concept_templates")
    @classmethod
    def _known_fields(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        for template in templates:
            fields = {field for _, field, _, _ in Formatter().parse(template) if field is not None}
            if not fields or fields - _TEMPLATE_FIELDS:
                raise ValueError(f"{template!r} must use {sorted(_TEMPLATE_FIELDS)} and no other field")
        return templates
