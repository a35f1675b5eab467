"""Settings of benchmarks that are asked of chat models."""

from pydantic import Field

from cultureclip.settings_base import Settings


class AskingSettings(Settings):
    """How chat models are asked.

    Attributes:
        pictures: Whether questions that show pictures are asked. Without them only the controls are, which a model that
            reads text alone can answer.
        first: Most questions per benchmark, a sample by their ids; None: all.
        answer_tokens: Most tokens of a letter, or of yes or no.
        caption_tokens: Most tokens of a caption.
        seed: Seed of the requests; answers are greedy.
    """

    pictures: bool = True
    first: int | None = Field(default=None, ge=1)
    answer_tokens: int = Field(default=16, ge=1, le=4096)
    caption_tokens: int = Field(default=64, ge=1, le=4096)
    seed: int = Field(ge=0)
