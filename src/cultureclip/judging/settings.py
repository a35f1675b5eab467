"""Settings of judging: the judge, and the thresholds for an image."""

from string import Formatter

from pydantic import Field, field_validator

from cultureclip.models.settings import JudgePath
from cultureclip.settings_base import CPU, Device, Settings

_TEMPLATE_FIELDS = {"name", "culture", "universal"}


class JudgeSettings(Settings):
    """Who judges images.

    Attributes:
        judge: A directory that ``open_clip`` loads.
        device: Device of the judge.
        batch: Most images in one forward pass; halved, down to 1, when memory runs out.
    """

    judge: JudgePath
    device: Device = CPU
    batch: int = Field(ge=1, le=4096)


class TextTemplates(Settings):
    """Names of a concept in the texts that images are compared with.

    Attributes:
        concept_templates: A concept's text embedding is the mean over these; one with ``{culture}`` is filled for each
            culture of the concept.
    """

    concept_templates: tuple[str, ...] = Field(min_length=1)

    @field_validator("concept_templates")
    @classmethod
    def _known_fields(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        for template in templates:
            fields = {field for _, field, _, _ in Formatter().parse(template) if field is not None}
            if not fields or fields - _TEMPLATE_FIELDS:
                raise ValueError(f"{template!r} must use {sorted(_TEMPLATE_FIELDS)} and no other field")
        return templates


class VerdictSettings(Settings):
    """Thresholds that an image and a twin must reach to be accepted.

    Attributes:
        twin_margin: Cosine by which an image's own concept must lead its twin's.
        chance_margin: Cosine by which it must lead the mean of all concepts.
        max_hamming: Bits of 64 in which the perceptual hashes of duplicates differ at most.
        max_colour_distance: Root mean square difference of their 4 x 4 thumbnails at most, in grey levels.
        min_images_per_side: Accepted images that each side of a twin needs.
    """

    twin_margin: float = Field(ge=0, lt=2)
    chance_margin: float = Field(ge=0, lt=2)
    max_hamming: int = Field(ge=0, le=64)
    max_colour_distance: float = Field(ge=0, le=255)
    min_images_per_side: int = Field(ge=1)
