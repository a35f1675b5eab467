"""Settings of cultural attribution: images, linking them to a knowledge base, and grading."""

from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from cultureclip.models.chat.settings import ChatSettings
from cultureclip.models.settings import ModelPath
from cultureclip.settings_base import CPU, Device, Settings


class LinkSettings(Settings):
    """How an image is linked to an entity of the knowledge base.

    Attributes:
        encoder: Any image-text model; the published method takes SigLIP (so400m, multilingual).
        device: Device of the encoder.
        batch: Most pictures in one forward pass; halved, down to 1, when memory runs out.
        picture_size: Edge in pixels at which ``emoji:`` pictures of the knowledge base are drawn.
        neighbours: Nearest pictures of the knowledge base whose entities are considered.
        min_text: An entity is taken only if its text has more characters than this.
    """

    encoder: ModelPath
    device: Device = CPU
    batch: int = Field(default=64, ge=1, le=4096)
    picture_size: int = Field(default=256, ge=16, le=1024)
    neighbours: int = Field(default=20, ge=1, le=1000)
    min_text: int = Field(default=10, ge=0)


class RatedSettings(Settings):
    """A table of images that people have rated for cultures: one row per image, culture and rating.

    Attributes:
        path: The table, or the folder of its files.
        format: A format of benchmarks, with its fields, such as ``{type: parquet}`` or ``{type: csv}``.
        columns: ``image``, ``label`` and ``rating`` -> the table's names of these columns.
        resamples: Resamples of the bootstrap over images.
    """

    path: str = Field(min_length=1)
    format: dict[str, JsonValue]
    columns: dict[Literal["image", "label", "rating"], str] = Field(default_factory=dict)
    resamples: int = Field(default=2000, ge=100, le=100_000)


class ImageSettings(Settings):
    """Which images are attributed: those of a folder, those that people have rated, or by default the generated ones.

    Attributes:
        folder: A folder of image files.
        rated: A table of rated images.
        first: Most images, in the order of their ids; None: all.
    """

    folder: str | None = None
    rated: RatedSettings | None = None
    first: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.folder is not None and self.rated is not None:
            raise ValueError("folder and rated are two sources of images: leave out one of the two")
        return self


class LabelSettings(Settings):
    """Cultures that every image is graded for.

    Attributes:
        labels: Cultures, as they are to be read by the model: nothing is changed in them.
    """

    labels: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)

    @field_validator("labels")
    @classmethod
    def _distinct(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        for label, count in Counter(labels).items():
            if not label.strip():
                raise ValueError("a label is blank")
            if count > 1:
                raise ValueError(f"{label!r} is listed {count} times: coverage and distances would count it as often")
        return labels


class GradeSettings(Settings):
    """How the entity of an image is graded for a culture.

    Attributes:
        language_model: Who grades.
        show_picture: Whether the model sees the image beside the entity's text; needs a vision-language model.
        max_text: Most characters of an entity's text that are shown; the published method shows 15,000.
        max_new_tokens: Most tokens of a written grade.
        tries: Most times that a written grade is asked for; the first is greedy, later ones are sampled.
        seed: Seed of the stage.
    """

    language_model: ChatSettings
    show_picture: bool = False
    max_text: int = Field(default=15_000, ge=1, le=1_000_000)
    max_new_tokens: int = Field(default=256, ge=8, le=4096)
    tries: int = Field(default=2, ge=1, le=10)
    seed: int = Field(default=0, ge=0)
