"""Settings of a calibration."""

from pydantic import Field

from cultureclip.judging.settings import RatingRule
from cultureclip.settings_base import Settings


class AgreementSettings(Settings):
    """When an agreement is shown, and how its interval is drawn.

    Attributes:
        min_images: Fewest rated images for a figure; below it the figure is null.
        min_concepts: Fewest concepts that these images show.
        resamples: Bootstrap resamples of concepts per interval.
        seed: Seed of the resamples.
    """

    min_images: int = Field(ge=2)
    min_concepts: int = Field(ge=2)
    resamples: int = Field(ge=100, le=100_000)
    seed: int = Field(ge=0)


class ThresholdSettings(Settings):
    """The errors that a judge's threshold may make.

    Attributes:
        target_error: Largest share of bad images among the accepted, and of good ones among the refused.
        confidence: Probability with which each of the two shares stays below it.
    """

    target_error: float = Field(gt=0, lt=0.5)
    confidence: float = Field(ge=0.5, lt=1)


class CalibrationSettings(AgreementSettings, ThresholdSettings):
    """How judges are compared with people.

    Attributes:
        rule: The rule by which a person's ratings of an image are good; by default the published one.
    """

    rule: RatingRule = RatingRule()
