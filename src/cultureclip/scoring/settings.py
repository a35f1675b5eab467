"""Settings of scoring: the comparisons and the tests."""

from pydantic import Field

from cultureclip.settings_base import Settings


class ScoringSettings(Settings):
    """Settings of comparisons and of statistical tests.

    Attributes:
        plain_objective: The objective of plain contrastive tuning, which every other one is compared with.
        proposed_objective: The objective that the report is about.
        general_benchmarks: Benchmarks of general ability; all others are about culture.
        max_general_loss: How far the general score, and its part at first place (R@1), may each fall below the base's
            on dev questions for a scale of the update to be chosen. It means little below two standard errors.
        resamples: Sign flips of a test.
        seed: Seed of the sign flips.
    """

    plain_objective: str = Field(min_length=1)
    proposed_objective: str = Field(min_length=1)
    general_benchmarks: tuple[str, ...] = ("general-retrieval",)
    max_general_loss: float = Field(default=0.02, ge=0, le=1)
    resamples: int = Field(ge=200, le=100_000)
    seed: int = Field(ge=0)
