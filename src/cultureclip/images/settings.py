"""Settings of image generation."""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from cultureclip.models.settings import DiffusersPath
from cultureclip.settings_base import Device, Settings


class CallSettings(Settings):
    """Arguments of the pipeline's call, passed on as they are.

    Those that every pipeline takes are bounded here; others are checked against the signature of the model's class.
    """

    model_config = ConfigDict(extra="allow")

    num_inference_steps: int = Field(ge=1, le=1000)
    guidance_scale: float = Field(ge=0, le=100)
    height: int = Field(ge=8, le=4096)
    width: int = Field(ge=8, le=4096)

    def arguments(self) -> dict[str, Any]:
        """Return all arguments by name, those of the model's own class included."""
        return dict(self)


class GenerationSettings(Settings):
    """How images are generated.

    Attributes:
        model: A diffusers pipeline's directory.
        device: Device of the model.
        dtype: Number type of weights and arithmetic; part of an image's id.
        scheduler: ``_class_name`` and settings that replace the directory's own; None keeps them.
        call: Arguments of the pipeline's call; part of an image's id.
        batch_size: Images at once; halved by itself when memory runs out.
        part_size: Images per stored file: the most that a crash can lose.
        draw: Number of the data's draw: another number gives other noise, and other ids.
    """

    model: DiffusersPath
    device: Device
    dtype: Literal["float32", "bfloat16", "float16"]
    scheduler: dict[str, Any] | None
    call: CallSettings
    batch_size: int = Field(ge=1, le=4096)
    part_size: int = Field(ge=1, le=100_000)
    draw: int = Field(default=0, ge=0)
