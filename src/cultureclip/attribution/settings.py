"""Settings of cultural attribution: linking images to a knowledge base."""

from pydantic import Field

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
