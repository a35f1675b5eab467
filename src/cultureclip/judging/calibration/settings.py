"""Settings of a calibration."""

from pydantic import Field

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
