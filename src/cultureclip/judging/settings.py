"""Settings of judging: the judges, their rules, and the bounds for an image and a twin."""

from importlib.util import find_spec
from string import Formatter
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from cultureclip.attribution.settings import GradeSettings, LinkSettings
from cultureclip.models.chat.settings import ChatSettings, ServerSettings
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


class MarginSettings(Settings):
    """The image-text judge's rule.

    Attributes:
        twin_margin: Cosine by which an image's own concept must lead its twin's.
        chance_margin: Cosine by which it must lead the mean of all concepts.
    """

    twin_margin: float = Field(ge=0, lt=2)
    chance_margin: float = Field(ge=0, lt=2)


class RatingRule(Settings):
    """The vision-language judge's rule; by default the published one.

    Attributes:
        fails_at: Any rating this low refuses the image.
        mean_above: The mean of the three ratings must exceed this.
    """

    fails_at: int = Field(default=1, ge=1, lt=5)
    mean_above: float = Field(default=3.0, ge=1, lt=5)


class VisionLanguageSettings(Settings):
    """Which chat model rates images, and how it is asked.

    Attributes:
        model: The chat model.
        max_new_tokens: Most tokens of an answer.
        temperature: 0 always takes the likeliest token.
        top_p: Sample from the likeliest tokens that together reach this probability.
        seed: Seed of the sampling.
        tries: Most times that an image is asked about until its answer has the right form.
        rule: The rule that accepts or refuses by the ratings.
        as_released: Defects of the published filter to reproduce, by number: 7, unreadable ratings pass and unreadable
            images shift the rest.
    """

    model: ChatSettings
    max_new_tokens: int = Field(ge=1)
    temperature: float = Field(ge=0)
    top_p: float = Field(gt=0, le=1)
    seed: int = Field(ge=0)
    tries: int = Field(ge=1, le=20)
    rule: RatingRule = RatingRule()
    as_released: tuple[Literal[7], ...] = ()


class AttributionSettings(LinkSettings, GradeSettings):
    """How images are linked to the concepts table and graded for their cultures, and the rule.

    Attributes:
        grade: Which grade decides: ``expected`` over the digits, the ``likeliest`` digit, or the ``generated`` one.
        min_grade: An image whose best grade for a culture of its concept is lower is refused.
    """

    grade: Literal["expected", "likeliest", "generated"] = "expected"
    min_grade: float = Field(default=3.0, ge=1, le=5)

    @model_validator(mode="after")
    def _check_grade(self) -> Self:
        if isinstance(self.language_model, ServerSettings) and self.grade != "generated":
            raise ValueError(
                f"grade {self.grade} needs the digits' probabilities, which servers do not give: generated"
            )
        return self


class TextRule(Settings):
    """The judge of text's rule.

    Attributes:
        min_letters: Letters and digits that refuse an image.
        min_confidence: Least confidence of a line of text that counts.
    """

    min_letters: int = Field(default=3, ge=1)
    min_confidence: float = Field(default=0.8, ge=0, le=1)


class SafetyRule(Settings):
    """The judge of safety's rule.

    Attributes:
        min_safety: Least safety of an image, from 0 to 1.
    """

    min_safety: float = Field(default=0.5, ge=0, le=1)


class DistinctRule(Settings):
    """The judge of likeness's rule.

    Attributes:
        max_similarity: Largest cosine to an image of another concept.
        measured_up_to: Most images of which every one's nearest is measured. Of more images, only those that are too
            near are found, which takes less than the square of their number.
    """

    max_similarity: float = Field(default=0.99, gt=-1, le=1)
    measured_up_to: int = Field(default=20_000, ge=0)


class Panel(Settings):
    """The judges that decide about images.

    Attributes:
        decide: Their names, keys of :data:`JUDGES`.
        combine: ``all``: each must accept an image; ``any``: one is enough.
    """

    decide: tuple[str, ...] = Field(min_length=1)
    combine: Literal["all", "any"]

    @field_validator("decide")
    @classmethod
    def _known_judges(cls, decide: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := sorted(set(decide) - set(JUDGES)):
            raise ValueError(f"there is no judge {unknown[0]!r}; there are {', '.join(JUDGES)}")
        if len(set(decide)) < len(decide):
            raise ValueError("a judge is named twice")
        for name in decide:
            if name in PACKAGES and find_spec(PACKAGES[name]) is None:
                raise ValueError(f"{name} needs the package {PACKAGES[name]}: pip install 'cultureclip[checks]'")
        return decide


JUDGES = {
    "clip": "cultureclip.judging.image_text",
    "vision_language": "cultureclip.judging.vision_language",
    "attribution": "cultureclip.judging.attribution",
    "distinct": "cultureclip.judging.distinct",
    "text": "cultureclip.judging.text",
    "safety": "cultureclip.judging.safety",
}
"""Judge -> its module, which has the function ``judge``: see :mod:`cultureclip.judging.panel`."""
PACKAGES = {"text": "rapidocr", "safety": "nudenet"}
"""Judge -> the package that holds its model, an extra."""


class PanelSettings(MarginSettings):
    """Who decides about images, by which rules.

    Attributes:
        judges: The judges that decide.
        vision_language: Settings of the vision-language judge; None: there is none.
        attribution: Settings of the judge of attribution; None: there is none.
        text: Rule of the judge of text.
        safety: Rule of the judge of safety.
        distinct: Rule of the judge of likeness between concepts.
    """

    judges: Panel
    vision_language: VisionLanguageSettings | None = None
    attribution: AttributionSettings | None = None
    text: TextRule = TextRule()
    safety: SafetyRule = SafetyRule()
    distinct: DistinctRule = DistinctRule()

    @model_validator(mode="after")
    def _check_models(self) -> Self:
        for name in ("vision_language", "attribution"):
            if name in self.judges.decide and getattr(self, name) is None:
                raise ValueError(f"judges: {name} decides, but {name} does not say which model that is")
        return self


class VerdictSettings(Settings):
    """Bounds for duplicates and twins.

    Attributes:
        max_hamming: Bits of 64 in which the perceptual hashes of duplicates differ at most.
        max_colour_distance: Root mean square difference of their 4 x 4 thumbnails at most, in grey levels.
        min_images_per_side: Accepted images that each side of a twin needs.
    """

    max_hamming: int = Field(ge=0, le=64)
    max_colour_distance: float = Field(ge=0, le=255)
    min_images_per_side: int = Field(ge=1)


class DecisionSettings(PanelSettings, VerdictSettings):
    """Everything that decides about images and twins."""
