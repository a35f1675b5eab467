"""Settings of reviews."""

from pydantic import Field

from cultureclip.judging.calibration.settings import ThresholdSettings


class ReviewSettings(ThresholdSettings):
    """Which pairs people are asked about, and what is said about their answers.

    Attributes:
        port: Port of the page on this machine; 0 takes a free one.
        twins: Twins that are drawn for review.
        refused: Refused pairs that are drawn beside them, so that thresholds are known on both sides.
        seed: Seed of the draw, of the order in which pairs are asked about, and of the intervals.
        picture_size: Longest edge of a picture on the page, in pixels.
        pictures: Generated pictures that are shown of each side.
        captions: Captions that are shown of each side.
        resamples: Bootstrap resamples per interval.
    """

    port: int = Field(ge=0, le=65535)
    twins: int = Field(ge=0)
    refused: int = Field(ge=0)
    seed: int = Field(ge=0)
    picture_size: int = Field(ge=48, le=2048)
    pictures: int = Field(ge=0, le=20)
    captions: int = Field(ge=0, le=20)
    resamples: int = Field(ge=100, le=100_000)
